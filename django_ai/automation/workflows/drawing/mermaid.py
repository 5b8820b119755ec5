"""A workflow's graph as Mermaid text, which GitHub and many a wiki draw."""

from __future__ import annotations

from collections.abc import Iterator

from ..authoring.graph import Edge, EdgeKind, Graph, Node
from .svg import Marks

# The colours of the states that a run has left in the graph.
_COLOURS = {
    "done": "fill:#dcfce7,stroke:#16a34a,color:#14532d",
    "failed": "fill:#fee2e2,stroke:#dc2626,color:#7f1d1d",
    "running": "fill:#dbeafe,stroke:#2563eb,color:#1e3a8a",
    "waiting": "fill:#fef3c7,stroke:#d97706,color:#78350f",
    "cancelled": "fill:#e5e7eb,stroke:#6b7280,color:#1f2937",
}
_LABELS = {EdgeKind.SLEEP: "sleep", EdgeKind.TIMEOUT: "time-out"}
START = "start"


def draw(graph: Graph, marks: Marks | None = None) -> str:
    """Return the graph as a Mermaid flowchart.

    Args:
        graph: the workflow's graph, as ``read_graph`` makes it.
        marks: where a run has been: its steps get colours, its ways thick lines.
    """
    marks = marks or Marks()
    ids = {node.name: f"s{number}" for number, node in enumerate(graph.nodes)}
    return "\n".join(["flowchart TD", *_nodes(graph, ids), *_edges(graph, ids, marks), *_classes(ids, marks)])


def _nodes(graph: Graph, ids: dict[str, str]) -> Iterator[str]:
    for node in graph.nodes:
        yield f'    {ids[node.name]}["{_text(_said(node))}"]'
        if node.start:
            yield f"    {START}(( )) --> {ids[node.name]}"
        for status in node.ends:
            yield f'    {ids[node.name]} --> {ids[node.name]}_{status}(["{status}"])'


def _said(node: Node) -> str:
    waits = f"<br/>waits for {node.waits_for} {node.label}".rstrip() if node.waits_for else ""
    return f"{node.name}{waits}"


def _edges(graph: Graph, ids: dict[str, str], marks: Marks) -> Iterator[str]:
    for number, edge in enumerate(graph.edges):
        # Where only a run can tell the target, or there is none of that name, a question mark stands for it.
        target = ids.get(edge.target or "") or f'unknown{number}(["{_text(edge.target or "?")}"])'
        arrow = "==>" if (edge.source, edge.target) in marks.ways else "-->"
        label = f'|"{_text(_label(edge))}"|' if _label(edge) else ""
        yield f"    {ids[edge.source]} {arrow}{label} {target}"


def _label(edge: Edge) -> str:
    if edge.kind is EdgeKind.CHILD:
        return f"child {edge.label}".strip()
    return _LABELS.get(edge.kind) or edge.label


def _classes(ids: dict[str, str], marks: Marks) -> Iterator[str]:
    for state, colours in _COLOURS.items():
        names = [ids[step] for step, of_step in marks.steps.items() if of_step == state and step in ids]
        if names:
            yield f"    classDef {state} {colours}"
            yield f"    class {','.join(names)} {state}"


def _text(text: str) -> str:
    return text.replace('"', "#quot;")
