"""A workflow as a graph: its steps, and which step may follow which. `reading` makes it from the code."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..machine.commands import WaitKind
from ..machine.statuses import WorkflowStatus
from .sources import Place


class EdgeKind(StrEnum):
    """What leads from one step to another."""

    GOTO = "goto"
    SLEEP = "sleep"
    SIGNAL = "signal"
    EVENT = "event"
    CHILD = "child"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One step may follow another.

    Attributes:
        source: the step that the run leaves.
        target: the step that it enters; None where only the run will tell, as for ``goto(variable)``.
        kind: what leads there.
        label: the name of the signal, event or child workflow, where the code says it.
        place: the file and line of the command, None where unknown.
    """

    source: str
    target: str | None
    kind: EdgeKind
    label: str = ""
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A step.

    Attributes:
        name: the step.
        start: whether runs begin here.
        waits_for: what the step waits for before its body runs (signal, event or form), else None.
        label: the name of that signal or event.
        ends: the statuses with which a run may end here.
        readable: whether its code could be read; if not, the edges that leave it are not known.
        place: the file and line of its ``def``, None where unreadable.
    """

    name: str
    start: bool = False
    waits_for: WaitKind | None = None
    label: str = ""
    ends: tuple[WorkflowStatus, ...] = ()
    readable: bool = True
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The steps of a workflow in the order of its class, and the edges between them."""

    workflow: str
    version: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    place: Place | None = None

    def missing(self) -> tuple[Edge, ...]:
        """Return the edges that lead to a step which does not exist."""
        names = {node.name for node in self.nodes}
        return tuple(edge for edge in self.edges if edge.target is not None and edge.target not in names)

    def unreachable(self) -> tuple[Node, ...]:
        """Return the steps that no run can reach; none as long as an unknown edge may lead there."""
        reached = self._reached()
        unread = {node.name for node in self.nodes if not node.readable}
        unknown = {edge.source for edge in self.edges if edge.target is None}
        if not reached or reached & (unread | unknown):
            return ()
        return tuple(node for node in self.nodes if node.name not in reached)

    def _reached(self) -> set[str]:
        reached: set[str] = set()
        ahead = {node.name for node in self.nodes if node.start}
        while ahead:
            reached |= ahead
            ahead = {edge.target for edge in self.edges if edge.source in ahead and edge.target} - reached
        return reached
