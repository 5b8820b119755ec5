"""Reads a call of a command in a step's code: where it may lead."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from ..machine.commands import WaitKind
from ..machine.definition import WorkflowDefinition
from ..machine.statuses import COMPLETED, FAILED, WorkflowStatus
from . import commands, waits
from .arguments import step_name
from .graph import EdgeKind, WaitCall
from .registry import DEFINITION_ATTRIBUTE
from .sources import UNKNOWN, Source

# The commands that wait, with the edge that their answer draws.
WAITS: dict[Any, EdgeKind] = {
    waits.wait: EdgeKind.SIGNAL,
    type(waits.wait).for_signal: EdgeKind.SIGNAL,
    type(waits.wait).for_event: EdgeKind.EVENT,
}
ENDS: dict[Any, WorkflowStatus] = {commands.complete: COMPLETED, commands.fail: FAILED}
COMMANDS = [commands.goto, commands.sleep, commands.run_subflow, *WAITS, *ENDS]

_KINDS = {EdgeKind.SIGNAL: WaitKind.SIGNAL, EdgeKind.EVENT: WaitKind.EVENT}

# The arguments of a wait that depend on the Context, so that its declaration shows a mistake in them.
CHECKED = ("fields", "payload", "correlate")

# An argument that a call does not have, or has as None.
_ABSENT = ast.Constant(None)


@dataclass(frozen=True, slots=True)
class Way:
    """A way on to a step; ``target`` None is a step that only the run will tell."""

    kind: EdgeKind
    target: str | None
    label: str = ""


def command_of(source: Source, call: ast.Call) -> Any:
    """Return the command function that is called, or None where it is no command."""
    called = source.value(call.func)
    function = called.__func__ if inspect.ismethod(called) else called
    return next((command for command in COMMANDS if command is function), None)


@dataclass(frozen=True, slots=True)
class CommandCall:
    """A call of a command in the code of ``step`` or of a helper, where the names ``selves`` hold the workflow."""

    definition: WorkflowDefinition
    step: str
    source: Source
    selves: frozenset[str]
    call: ast.Call

    def outcomes(self) -> Iterator[Way | WorkflowStatus]:
        """Yield the ways on, and the statuses with which the run may end."""
        command = command_of(self.source, self.call)
        if command in WAITS:
            yield from self._wait(WAITS[command])
        elif command in ENDS:
            yield ENDS[command]
        elif command is commands.goto:
            yield from self._ways(EdgeKind.GOTO, self._targets(self._argument("step", 0)))
        elif command is commands.sleep:
            yield from self._ways(EdgeKind.SLEEP, self._targets(self._argument("then")) or [self.step])
        elif command is commands.run_subflow:
            child = self._child()
            yield from self._ways(EdgeKind.CHILD, self._targets(self._argument("on_complete", 1)), child)
            yield from self._ways(EdgeKind.TIMEOUT, self._targets(self._argument("on_timeout")), child)

    def _wait(self, kind: EdgeKind) -> Iterator[Way | WorkflowStatus]:
        name = self.source.value(self._argument("name", 0))
        label = name if isinstance(name, str) else ""
        timeouts = self._targets(self._argument("on_timeout"))
        then = self._targets(self._argument("then")) or self._following(timeouts)
        yield from self._ways(kind, then, label)
        yield from self._ways(EdgeKind.TIMEOUT, timeouts, label)
        if not then:
            yield COMPLETED

    def wait(self) -> WaitCall | None:
        """Return the call as a wait, None where it is none."""
        command = command_of(self.source, self.call)
        if command not in WAITS:
            return None
        name = self.source.value(self._argument("name", 0))
        given = {argument: self._literal(self._argument(argument)) for argument in CHECKED}
        return WaitCall(
            step=self.step,
            kind=_KINDS[WAITS[command]],
            name=name if isinstance(name, str) else None,
            arguments={
                argument: value for argument, value in given.items() if value is not None and value is not UNKNOWN
            },
            place=self.source.place(self.call),
        )

    def _literal(self, argument: ast.expr) -> Any:
        match argument:
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                values = [self.source.value(part) for part in parts]
                return UNKNOWN if any(value is UNKNOWN for value in values) else values
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in self.selves:
                return inspect.getattr_static(self.definition.cls, attribute, UNKNOWN)
        return self.source.value(argument)

    def _following(self, timeouts: list[str | None]) -> list[str | None]:
        if None in timeouts:
            return [None]
        steps = [self.definition.step_after(self.step, skipping=skipped) for skipped in timeouts or [None]]
        return [step for step in steps if step is not None]

    def _ways(self, kind: EdgeKind, targets: list[str | None], label: str = "") -> Iterator[Way]:
        return (Way(kind, target, label) for target in targets)

    def _child(self) -> str:
        child = self.source.value(self._argument("workflow", 0))
        if isinstance(child, type):
            definition = vars(child).get(DEFINITION_ATTRIBUTE)
            return definition.name if definition else ""
        return child if isinstance(child, str) else ""

    def _argument(self, name: str, position: int | None = None) -> ast.expr:
        """Return an argument, _ABSENT, or the ``*args`` or ``**options`` in which it may hide."""
        if position is not None and len(self.call.args) > position:
            starred = (argument for argument in self.call.args if isinstance(argument, ast.Starred))
            return next(starred, self.call.args[position])
        named = {keyword.arg: keyword.value for keyword in self.call.keywords}
        hidden = ast.Starred(named[None]) if None in named else _ABSENT
        return named.get(name, hidden)

    def _targets(self, argument: ast.expr) -> list[str | None]:
        match argument:
            case ast.Constant(value=None):
                return []
            case ast.IfExp(body=body, orelse=orelse):
                return [*self._targets(body), *self._targets(orelse)]
            case ast.BoolOp(values=values):
                return [target for value in values for target in self._targets(value)]
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in self.selves:
                return [self._of_workflow(attribute)]
        return [_step_named(self.source.value(argument))]

    def _of_workflow(self, attribute: str) -> str | None:
        cls = self.definition.cls
        value = inspect.getattr_static(cls, attribute, UNKNOWN)
        if value is not UNKNOWN:
            return _step_named(value)
        # What __init__ or __getattr__ makes, only an instance knows.
        made = any({"__init__", "__getattr__"} & vars(base).keys() for base in cls.__mro__[:-1])
        return None if made else attribute


def _step_named(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    return step_name(value) if isinstance(value, FunctionType) else None
