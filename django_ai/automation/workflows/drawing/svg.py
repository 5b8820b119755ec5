"""A workflow's graph as SVG, with the way that a run has taken where there is one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

from ..authoring.graph import Edge, EdgeKind, Graph, Node
from ..machine.commands import WaitKind
from .layout import Arrow, Box, Layout, Point, arrange
from .style import STYLE

# Sizes in pixels; the letters of the names are of one width, so that a box fits its text.
LETTER = 7.3
SMALL_LETTER = 6.6
BOX_HEIGHT = 36.0
LINE_HEIGHT = 17.0
LABEL_HEIGHT = 18.0
MARGIN = 14.0
START = "\0start"

_LABELS = {EdgeKind.SLEEP: "sleep", EdgeKind.TIMEOUT: "time-out", EdgeKind.CHILD: "child"}
_WAITS = {WaitKind.SIGNAL: "signal", WaitKind.EVENT: "event", WaitKind.FORM: "form"}
_ENDS = {"completed": "completes", "failed": "fails"}


@dataclass(frozen=True, slots=True)
class Marks:
    """What a run has done in the graph.

    Attributes:
        steps: the state of each step that it has been at: done, failed, running, waiting, cancelled.
        visits: how often it has been at each.
        ways: the (source, target) pairs that it has gone.
    """

    steps: Mapping[str, str] = field(default_factory=dict)
    visits: Mapping[str, int] = field(default_factory=dict)
    ways: frozenset[tuple[str, str]] = frozenset()


def draw(graph: Graph, marks: Marks | None = None, *, standalone: bool = False) -> str:
    """Return the graph as an ``<svg>`` element.

    Args:
        graph: the workflow's graph, as ``read_graph`` makes it.
        marks: where a run has been.
        standalone: bring the colours along, for a file of its own; a page has them in its style sheet.
    """
    marks = marks or Marks()
    edges = _by_pair(graph)
    layout = arrange(_boxes(graph), [_arrow(pair, labels) for pair, labels in edges.items()])
    parts = [
        *(_drawn_edge(layout, arrow, edges, marks) for arrow in layout.routes),
        *(_drawn_loop(layout, source, edges[source, source], marks) for source, target in edges if source == target),
        *(_drawn_node(layout.boxes[node.name], node, marks) for node in graph.nodes),
    ]
    if START in layout.boxes:
        dot = layout.boxes[START]
        parts.append(f'<circle class="wf-start" cx="{dot.x:g}" cy="{dot.y:g}" r="6"/>')
    width, height = layout.width + 2 * MARGIN + _loop_room(edges), layout.height + 2 * MARGIN
    return _svg(
        graph, f"{-MARGIN:g} {-MARGIN:g} {width:.0f} {height:.0f}", (width, height), parts, standalone=standalone
    )


def _svg(graph: Graph, view: str, size: Point, parts: Iterable[str], *, standalone: bool) -> str:
    style = f"<style>{STYLE}</style>" if standalone else ""
    namespace = ' xmlns="http://www.w3.org/2000/svg"' if standalone else ""
    title = escape(f"The steps of {graph.workflow}")
    return (
        f'<svg{namespace} class="wf-graph" viewBox="{view}" width="{size[0]:.0f}" height="{size[1]:.0f}"'
        f' role="img" aria-label="{title}">{style}{_HEADS}{"".join(parts)}</svg>'
    )


_HEADS = (
    "<defs>"
    + "".join(
        f'<marker id="wf-head{name}" class="wf-head{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9"'
        ' markerHeight="9" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 8 4 0 8z"/></marker>'
        for name in ("", "-gone")
    )
    + "</defs>"
)


def _by_pair(graph: Graph) -> dict[tuple[str, str], list[str]]:
    """Return the labels of what leads from one step to another, edges to unknown steps left out."""
    names = {node.name for node in graph.nodes}
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for start in (node.name for node in graph.nodes if node.start):
        found[START, start] = []
    for edge in graph.edges:
        if edge.target in names:
            labels = found[edge.source, str(edge.target)]
            labels += [label for label in [_label(edge)] if label and label not in labels]
    return found


def _label(edge: Edge) -> str:
    if edge.kind is EdgeKind.CHILD:
        return f"▸ {edge.label or 'child'}"
    return _LABELS.get(edge.kind) or edge.label


def _boxes(graph: Graph) -> list[Box]:
    boxes = [_box(node) for node in graph.nodes]
    if any(node.start for node in graph.nodes):
        boxes.insert(0, Box(key=START, width=12, height=12))
    return boxes


def _box(node: Node) -> Box:
    lines = _lines(node)
    longest = max([len(node.name) * LETTER + 34, *(len(line) * SMALL_LETTER + 26 for line in lines)])
    return Box(key=node.name, width=max(110.0, longest), height=BOX_HEIGHT + LINE_HEIGHT * len(lines))


def _lines(node: Node) -> list[str]:
    """Return what a box says below the step's name."""
    waits = f"waits: {_WAITS.get(node.waits_for, node.waits_for)} {node.label}".rstrip() if node.waits_for else ""
    ends = " or ".join(_ENDS.get(status, status) for status in node.ends)
    unread = "" if node.readable else "its code cannot be read"
    return [line for line in (waits, ends, unread) if line]


def _arrow(pair: tuple[str, str], labels: list[str]) -> Arrow:
    width = max((len(label) * SMALL_LETTER + 12 for label in labels), default=0.0)
    return Arrow(source=pair[0], target=pair[1], label_width=width, label_height=LABEL_HEIGHT * len(labels))


def _drawn_node(box: Box, node: Node, marks: Marks) -> str:
    state, times = marks.steps.get(node.name, ""), marks.visits.get(node.name, 0)
    left, top = box.x - box.width / 2, box.y - box.height / 2
    lines = [
        _text(box.x, top + BOX_HEIGHT + LINE_HEIGHT * index + 2, line, "wf-small")
        for index, line in enumerate(_lines(node))
    ]
    if times > 1:
        lines.append(_text(left + box.width - 8, top - 4, f"{times}\N{MULTIPLICATION SIGN}", "wf-times"))
    return (
        f'<g class="wf-node{f" wf-node--{state}" if state else ""}"><title>{escape(_told(node, state))}</title>'
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="8"/>'
        f"{_text(box.x, top + 23, node.name)}{''.join(lines)}</g>"
    )


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text{f" class={kind!r}" if kind else ""} x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _told(node: Node, state: str) -> str:
    return ", ".join(part for part in (node.name, state, *_lines(node)) if part)


def _drawn_edge(layout: Layout, arrow: Arrow, edges: Mapping[tuple[str, str], list[str]], marks: Marks) -> str:
    pair = (arrow.source, arrow.target)
    points = list(layout.routes[arrow])
    ends = layout.boxes[arrow.source], layout.boxes[arrow.target]
    down = points[0][1] < points[-1][1]
    points[0] = (points[0][0], points[0][1] + ends[0].height / (2 if down else -2))
    points[-1] = (points[-1][0], points[-1][1] - (ends[1].height / 2 + 1) * (1 if down else -1))
    gone = pair in marks.ways or (arrow.source == START and arrow.target in marks.steps)
    return _path(_curve(points), gone=gone) + _labels(layout.labels[arrow], edges[pair])


def _drawn_loop(layout: Layout, key: str, labels: list[str], marks: Marks) -> str:
    box = layout.boxes[key]
    right, y = box.x + box.width / 2, box.y
    path = f"M{right:.1f} {y - 8:.1f}c26 -14 26 30 2 16"
    text = [
        _text(right + 26, y + 4 + LABEL_HEIGHT * index, label, "wf-small wf-left") for index, label in enumerate(labels)
    ]
    return _path(path, gone=(key, key) in marks.ways) + "".join(text)


def _loop_room(edges: Mapping[tuple[str, str], list[str]]) -> float:
    loops = [labels for (source, target), labels in edges.items() if source == target]
    return max((24 + max((len(label) for label in labels), default=0) * SMALL_LETTER for labels in loops), default=0.0)


def _path(line: str, *, gone: bool) -> str:
    suffix = "-gone" if gone else ""
    return f'<path class="wf-edge{f" wf-edge{suffix}" if gone else ""}" d="{line}" marker-end="url(#wf-head{suffix})"/>'


def _curve(points: list[Point]) -> str:
    """Return a line through points that leaves and enters each of them straight up or down."""
    line = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x, y), (to_x, to_y) in pairwise(points):
        middle = (y + to_y) / 2
        line += f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}"
    return line


def _labels(at: Point, labels: list[str]) -> str:
    top = at[1] - LABEL_HEIGHT * len(labels) / 2
    return "".join(_drawn_label(at[0], top + LABEL_HEIGHT * index, label) for index, label in enumerate(labels))


def _drawn_label(x: float, top: float, label: str) -> str:
    width = len(label) * SMALL_LETTER + 8
    return (
        f'<rect class="wf-label" x="{x - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}"'
        f' height="{LABEL_HEIGHT:g}" rx="4"/>{_text(x, top + 13, label, "wf-small")}'
    )
