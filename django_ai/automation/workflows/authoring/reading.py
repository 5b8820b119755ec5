"""Reads the graph of a workflow from the code of its steps."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import FunctionType
from typing import Any

from ..machine.commands import Wait, WaitKind
from ..machine.definition import StepDefinition, WorkflowDefinition
from ..machine.statuses import WorkflowStatus
from . import sources
from .calls import WAITS, CommandCall, Way, command_of
from .graph import Edge, EdgeKind, Graph, Mistake, MistakeKind, Node, WaitCall
from .methods import SUPPLIED
from .mistakes import Body, discarded, find_mistakes
from .registry import DEFINITION_ATTRIBUTE
from .sources import UNKNOWN, Place, Source
from .steps import step as step_decorator

Names = frozenset[str]


def read_graph(definition: WorkflowDefinition) -> Graph:
    """Return the graph of a workflow. Inherited steps and helpers that return commands are read too.

    A step whose source is not to be had (a REPL, exec) becomes a node that says so.
    """
    readings = [StepReading(definition, step) for step in definition.steps.values()]
    return Graph(
        workflow=definition.name,
        version=definition.version,
        nodes=tuple(reading.node() for reading in readings),
        edges=tuple(edge for reading in readings for edge in reading.edges),
        waits=tuple(wait for reading in readings for wait in reading.waits),
        place=sources.place_of_class(definition.cls),
        mistakes=(
            *(mistake for reading in readings for mistake in (*reading.mistakes, *reading.without_result())),
            *_lost_steps(definition),
        ),
    )


def _lost_steps(definition: WorkflowDefinition) -> Iterator[Mistake]:
    """Yield the methods with @step() in the class's body that are no step of it."""
    tree, place = sources.tree_of_class(definition.cls), sources.place_of_class(definition.cls)
    if tree is None or place is None:
        return
    names = vars(sys.modules.get(definition.cls.__module__, definition.cls))
    methods = [node for node in tree.body if isinstance(node, ast.FunctionDef) and _is_called_step(node, names)]
    last = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in methods:
        here = Place(place.file, node.lineno)
        if last[node.name] is not node:
            text = f"is defined again in line {last[node.name].lineno}, and this one is lost"
            yield Mistake(
                kind=MistakeKind.HIDDEN, step=node.name, text=text, hint="Give one of them another name.", place=here
            )
        elif node.name not in definition.steps and callable(vars(definition.cls).get(node.name)):
            text = "has @step() below a decorator that hides it, so it is no step"
            hint = "Write @step() above that decorator, or use functools.wraps in it."
            yield Mistake(kind=MistakeKind.HIDDEN, step=node.name, text=text, hint=hint, place=here)


def _is_called_step(node: ast.FunctionDef, names: Mapping[str, Any]) -> bool:
    """Return whether a method is decorated with @step(), and not with another library's decorator of this name."""
    called = [item.func for item in node.decorator_list if isinstance(item, ast.Call)]
    return any(sources.value_in(item, names) is step_decorator for item in called)


def signals_of(definition: WorkflowDefinition) -> frozenset[str] | None:
    """Return the names of all signals that a run may wait for, or None where the code does not say them all."""
    return _names_of(definition.cls)[0]


def events_of(definition: WorkflowDefinition) -> frozenset[str]:
    """Return the names of the events that a run may wait for, as far as the code says them."""
    return _names_of(definition.cls)[1]


@lru_cache(maxsize=1024)
def _names_of(cls: type) -> tuple[frozenset[str] | None, frozenset[str]]:
    graph = read_graph(vars(cls)[DEFINITION_ATTRIBUTE])
    return graph.signals(), graph.names(WaitKind.EVENT)


class StepReading:
    """What the code of one step says."""

    def __init__(self, definition: WorkflowDefinition, step: StepDefinition) -> None:
        self.edges: list[Edge] = []
        self.waits: list[WaitCall] = []
        # Of a function that wraps another one only the inner one is read.
        self._is_complete = inspect.unwrap(step.function) is step.function
        self.mistakes: list[Mistake] = []
        self._definition = definition
        self._step = step
        self._ends: dict[WorkflowStatus, None] = {}
        self._read: set[ast.FunctionDef] = set()
        self._source = sources.find(step.function)
        if self._source is not None:
            self._body(self._source, frozenset(self._source.parameters[:1]))
        if (entry := step.entry) and entry.on_timeout:
            self._add(Way(EdgeKind.TIMEOUT, entry.on_timeout, _label(entry)), self._decorator())

    def node(self) -> Node:
        """Return the step as a node of the graph."""
        entry = self._step.entry
        return Node(
            name=self._step.name,
            start=self._step.start,
            waits_for=entry.kind if entry else None,
            label=_label(entry),
            ends=tuple(self._ends),
            readable=self._source is not None,
            complete=self._is_complete,
            place=self._source.place(self._source.tree) if self._source else None,
        )

    def without_result(self) -> Iterator[Mistake]:
        """Yield the ways on to steps that need a child's result, and come from no child."""
        for edge in self.edges:
            target = self._definition.find(edge.target or "")
            if target is None or target.is_form or edge.kind is EdgeKind.CHILD or target is self._step:
                continue
            if needed := target.required & SUPPLIED:
                name = min(needed)
                text = f"leads to {target.name!r} without run_subflow, which alone supplies its parameter {name!r}"
                hint = f"Give the parameter a default: {name}=None."
                yield Mistake(kind=MistakeKind.NO_RESULT, step=self._step.name, text=text, hint=hint, place=edge.place)

    def _decorator(self) -> Place | None:
        if self._source is None:
            return None
        calls = (node for node in self._source.tree.decorator_list if isinstance(node, ast.Call))
        waits = (call for call in calls if command_of(self._source, call) in WAITS)
        return self._source.place(next(waits, self._source.tree))

    def _add(self, outcome: Way | WorkflowStatus, place: Place | None) -> None:
        if isinstance(outcome, WorkflowStatus):
            self._ends[outcome] = None
            return
        step = self._definition.find(outcome.target or "")  # which may be named as it was before
        target = step.name if step else outcome.target
        edge = Edge(source=self._step.name, target=target, kind=outcome.kind, label=outcome.label, place=place)
        if edge not in self.edges:
            self.edges.append(edge)

    def _body(self, source: Source, selves: Names) -> None:
        """Read a function in which the names ``selves`` hold the workflow."""
        if source.tree in self._read:
            return
        self._read.add(source.tree)
        self.mistakes.extend(find_mistakes(Body(self._definition, self._step.name, source, selves)))
        lost = discarded(source)
        for call in _calls(source):
            if call in lost:
                continue
            reading = CommandCall(self._definition, self._step.name, source, selves, call)
            for outcome in reading.outcomes():
                self._add(outcome, source.place(call))
            if wait := reading.wait():
                self.waits.append(wait)
        for node in sources.own_nodes(source.tree):
            if isinstance(node, ast.Return) and node.value and not self._understands(node.value, source, selves):
                self._is_complete = False
                self._add(Way(EdgeKind.GOTO, None), source.place(node))

    def _understands(self, value: ast.expr, source: Source, selves: Names, seen: Names = frozenset()) -> bool:
        """Say whether all commands that ``value`` may be are read by now; read the helpers it calls."""
        match value:
            case ast.Call():
                return command_of(source, value) is not None or self._helper(value, source, selves)
            case ast.Constant() | ast.Dict() | ast.List() | ast.Tuple() | ast.JoinedStr():
                return True  # a mistake, but no way to another step
            case ast.Name(id=name) if name in seen:
                return True
            case ast.Name(id=name):
                seen |= {name}
        parts = _alternatives(value, source)
        understood = [self._understands(part, source, selves, seen) for part in parts]
        return bool(parts) and all(understood)

    def _helper(self, call: ast.Call, source: Source, selves: Names) -> bool:
        function, bound = self._called(call.func, source, selves)
        helper = sources.find(function) if isinstance(function, FunctionType) else None
        if helper is None or helper.function is not function:
            return False
        arguments = zip(helper.parameters[bound:], call.args, strict=False)
        given = {name for name, value in arguments if sources.is_name(value, selves)}
        self._body(helper, frozenset({*given, *helper.parameters[:bound]}))
        return True

    def _called(self, callee: ast.expr, source: Source, selves: Names) -> tuple[Any, int]:
        """Return what is called, and to how many arguments it is bound."""
        match callee:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in selves:
                method = inspect.getattr_static(self._definition.cls, attribute, UNKNOWN)
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super"), args=[]), attr=attribute):
                method = self._above(source, attribute)
            case _:
                return source.value(callee), 0
        if isinstance(method, staticmethod):
            return method.__func__, 0
        return (method.__func__ if isinstance(method, classmethod) else method), 1

    def _above(self, source: Source, attribute: str) -> Any:
        """Return what ``super()`` finds in the method ``source``."""
        classes = iter(self._definition.cls.__mro__)
        for cls in classes:
            if source.function in vars(cls).values():
                break
        return next((vars(cls)[attribute] for cls in classes if attribute in vars(cls)), UNKNOWN)


def _label(entry: Wait | None) -> str:
    # A form has no name of its own to show: it is called after its step.
    return "" if entry is None or entry.kind is WaitKind.FORM else entry.name


def _calls(source: Source) -> list[ast.Call]:
    nodes = (node for statement in source.tree.body for node in ast.walk(statement))
    calls = [node for node in nodes if isinstance(node, ast.Call) and command_of(source, node) is not None]
    return sorted(calls, key=lambda call: (call.lineno, call.col_offset))


def _alternatives(value: ast.expr, source: Source) -> list[ast.expr]:
    """Return the expressions one of which ``value`` is; none where that cannot be told."""
    match value:
        case ast.IfExp(body=body, orelse=orelse):
            return [body, orelse]
        case ast.BoolOp(values=values):
            return values
        case ast.NamedExpr(value=inner):
            return [inner]
        case ast.Name(id=name):
            return sources.assigned(source, name)
    return []
