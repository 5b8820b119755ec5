"""A workflow as a graph: its steps, and which step may follow which. `reading` makes it from the code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

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
        complete: whether all commands that it may return are known, though perhaps not all their arguments.
        place: the file and line of its ``def``, None where unreadable.
    """

    name: str
    start: bool = False
    waits_for: WaitKind | None = None
    label: str = ""
    ends: tuple[WorkflowStatus, ...] = ()
    readable: bool = True
    complete: bool = True
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitCall:
    """A wait for a signal or an event that a step returns.

    Attributes:
        step: the step.
        kind: what it waits for.
        name: the name of the signal or event; None where only the run will tell.
        arguments: those of its further arguments that the code says.
        place: the file and line of the call.
    """

    step: str
    kind: WaitKind
    name: str | None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    place: Place | None = None


class MistakeKind(StrEnum):
    """What is wrong with a line of a step."""

    LOST = "a command that is not returned"
    REFUSED = "a call that is refused"
    NESTED = "a step inside a step"
    HIDDEN = "a step that is lost"
    NO_RESULT = "a step without its child's result"
    CALLED_STEP = "a step that is called"
    DROPPED = "a field that is dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A line of a step's code that is wrong; ``text`` completes the sentence that begins with the step."""

    kind: MistakeKind
    step: str
    text: str
    hint: str = ""
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The steps of a workflow in the order of its class, and the edges between them."""

    workflow: str
    version: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    waits: tuple[WaitCall, ...] = ()
    place: Place | None = None
    mistakes: tuple[Mistake, ...] = ()

    def missing(self) -> tuple[Edge, ...]:
        """Return the edges that lead to a step which does not exist."""
        names = {node.name for node in self.nodes}
        return tuple(edge for edge in self.edges if edge.target is not None and edge.target not in names)

    def signals(self) -> frozenset[str] | None:
        """Return the names of all signals that a run may wait for, or None where the code does not say them all."""
        is_open = any(wait.kind is WaitKind.SIGNAL and wait.name is None for wait in self.waits)
        if is_open or not all(node.readable and node.complete for node in self.nodes):
            return None
        return self.names(WaitKind.SIGNAL)

    def names(self, kind: WaitKind) -> frozenset[str]:
        """Return the names of the signals or events that a run may wait for, as far as the code says them."""
        entries = {node.label for node in self.nodes if node.waits_for is kind}
        return frozenset(entries | {wait.name for wait in self.waits if wait.kind is kind and wait.name})

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
