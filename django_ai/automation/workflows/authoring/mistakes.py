"""Finds what is written wrongly in the code of a step: commands that are lost, refused, or not what they seem."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ...signatures import did_you_mean, misfit
from ..exceptions import WorkflowError
from ..machine.context import known_fields
from ..machine.definition import WorkflowDefinition
from . import commands, steps, waits
from .calls import CHECKED, command_of
from .graph import Mistake, MistakeKind
from .inputs import field_names, inputs_of
from .methods import STEP_ATTRIBUTE
from .registry import registry
from .sources import UNKNOWN, Source

# The arguments of commands that name a step.
_TARGETS = frozenset({"step", "then", "on_timeout", "on_complete"})

# What stands for an argument whose value only a run knows, where a command cannot do without one.
_STAND_INS: Mapping[str, object] = {"name": "name", "delay": 1, "until": datetime(2030, 1, 1, tzinfo=UTC)}

_PLAIN = str | int | float | timedelta | datetime | None


@dataclass(frozen=True, slots=True)
class Body:
    """The code of a function that the step ``step`` runs, where the names ``selves`` hold the workflow."""

    definition: WorkflowDefinition
    step: str
    source: Source
    selves: frozenset[str]

    def mistake(self, kind: MistakeKind, node: ast.AST, text: str, hint: str = "") -> Mistake:
        """Return a mistake that stands at a node of the code."""
        return Mistake(kind=kind, step=self.step, text=text, hint=hint, place=self.source.place(node))

    def step_called(self, node: ast.expr) -> str | None:
        """Return the name of the step that an expression calls as ``self.step()``, or None."""
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attribute)) if name in self.selves:
                return attribute if attribute in self.definition.steps else None
        return None

    def literal(self, node: ast.expr) -> Any:
        """Return the plain value that an expression always has, or UNKNOWN."""
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                value = self.literal(operand)
                return -value if isinstance(value, int | float | timedelta) else UNKNOWN
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                values = [self.literal(part) for part in parts]
                return UNKNOWN if any(value is UNKNOWN for value in values) else values
            case ast.Call(func=function) if self.source.value(function) is timedelta:
                return self._timedelta(node)
        value = self.source.value(node)
        if value is None and not isinstance(node, ast.Constant):
            return UNKNOWN  # a name that holds None: the code probably asks for that before
        return value if isinstance(value, _PLAIN) else UNKNOWN

    def _timedelta(self, call: ast.Call) -> Any:
        args = [self.literal(arg) for arg in call.args]
        kwargs = {str(keyword.arg): self.literal(keyword.value) for keyword in call.keywords}
        try:
            return timedelta(*args, **kwargs)
        except (TypeError, ValueError, OverflowError):
            return UNKNOWN


def find_mistakes(body: Body) -> Iterator[Mistake]:
    """Yield the mistakes in a function that a step runs, in the order of its lines."""
    nodes = sorted(_nodes(body.source), key=lambda node: (getattr(node, "lineno", 0), getattr(node, "col_offset", 0)))
    for node in nodes:
        for detect in _DETECTORS.get(type(node), ()):
            yield from detect(body, node)


def discarded(source: Source) -> set[ast.Call]:
    """Return the calls of commands whose result nothing uses."""
    statements = (node for node in _nodes(source) if isinstance(node, ast.Expr | ast.Raise))
    calls = (call for node in statements for call in _results(node.value if isinstance(node, ast.Expr) else node.exc))
    return {call for call in calls if command_of(source, call) is not None}


def _nodes(source: Source) -> Iterator[ast.AST]:
    return (node for statement in source.tree.body for node in ast.walk(statement))


def _results(value: ast.expr | None) -> list[ast.Call]:
    """Return the calls one of which gives an expression its value."""
    match value:
        case ast.Call():
            return [value]
        case ast.Await(value=inner):
            return _results(inner)
        case ast.IfExp(body=one, orelse=other):
            return [*_results(one), *_results(other)]
        case ast.BoolOp(values=values):
            return [call for part in values for call in _results(part)]
    return []


def _lost_command(body: Body, node: ast.Expr) -> Iterator[Mistake]:
    for call in _results(node.value):
        text = f"calls {ast.unparse(call.func)}(…) and does not return it, so it has no effect"
        if command_of(body.source, call) is not None:
            yield body.mistake(MistakeKind.LOST, call, text, f"Write return {ast.unparse(call.func)}(…).")


def _raised_command(body: Body, node: ast.Raise) -> Iterator[Mistake]:
    for call in _results(node.exc):
        if command_of(body.source, call) is not None:
            text = f"raises {ast.unparse(call.func)}(…), which is no exception"
            yield body.mistake(MistakeKind.LOST, call, text, f"Write return {ast.unparse(call.func)}(…).")


def _called_step(body: Body, node: ast.Return | ast.Expr) -> Iterator[Mistake]:
    for call in _results(node.value):
        if name := body.step_called(call):
            text = f"calls the step self.{name}(), whose body then runs as a part of it and leaves no history"
            yield body.mistake(MistakeKind.CALLED_STEP, call, text, f"Write return goto(self.{name}).")


def _nested_step(body: Body, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Mistake]:
    decorators = (item.func if isinstance(item, ast.Call) else item for item in node.decorator_list)
    if any(body.source.value(decorator) is steps.step for decorator in decorators):
        text = f"has the function {node.name}() with @step() inside it, which is no step of the class"
        yield body.mistake(MistakeKind.NESTED, node, text, "Move it into the body of the class.")


def _refused_call(body: Body, call: ast.Call) -> Iterator[Mistake]:
    command = command_of(body.source, call)
    hidden = any(isinstance(arg, ast.Starred) for arg in call.args) or any(item.arg is None for item in call.keywords)
    if command is None or hidden:
        return
    function = type(waits.wait).for_signal if command is waits.wait else command
    args = [ast.Constant("self")] if _is_method(function) else []
    given = {str(item.arg): item.value for item in call.keywords}
    signature = inspect.signature(function)
    if text := misfit(f"{ast.unparse(call.func)}()", signature, [*args, *call.args], given):
        yield body.mistake(MistakeKind.REFUSED, call, f"makes a call that is refused: {text.rstrip('.')}")
        return
    arguments = signature.bind(*args, *call.args, **given).arguments
    more = arguments.pop("fields", {}) if _takes_fields(signature) else {}
    for name in ("self", *CHECKED):  # what depends on the Context is checked with it
        arguments.pop(name, None)
    wrong = list(_wrong_targets(body, arguments))
    yield from wrong or _refused(body, call, function, arguments, more)
    if command is commands.complete:
        yield from _undeclared(body, call, more)


def _is_method(function: Any) -> bool:
    return function in (type(waits.wait).for_signal, type(waits.wait).for_event)


def _takes_fields(signature: inspect.Signature) -> bool:
    fields = signature.parameters.get("fields")
    return fields is not None and fields.kind is inspect.Parameter.VAR_KEYWORD


def _wrong_targets(body: Body, arguments: Mapping[str, ast.expr]) -> Iterator[Mistake]:
    for name in arguments.keys() & _TARGETS:
        for part in _alternatives(arguments[name]):
            if step := body.step_called(part):
                text = f"calls self.{step}() where it names the step that follows"
                yield body.mistake(MistakeKind.REFUSED, part, text, f"Leave out the parentheses: self.{step}.")
            elif owner := _other_class(body, part):
                text = f"names the step {ast.unparse(part)} as the one that follows, which is of another class"
                hint = f"A run goes to steps of its own class; {owner} runs as a child, with run_subflow."
                yield body.mistake(MistakeKind.REFUSED, part, text, hint)
            elif isinstance(part, ast.Lambda):
                text, hint = "names a lambda as the step that follows", "Name a step, as self.step or by its name."
                yield body.mistake(MistakeKind.REFUSED, part, text, hint)


def _other_class(body: Body, value: ast.expr) -> str | None:
    """Return the name of the other class whose step an expression is, or None."""
    step = body.source.value(value)
    if not isinstance(value, ast.Attribute) or not hasattr(step, STEP_ATTRIBUTE):
        return None
    own = (vars(base).get(value.attr) for base in body.definition.cls.__mro__)
    return None if any(step is each for each in own) else ast.unparse(value.value)


def _alternatives(value: ast.expr) -> list[ast.expr]:
    match value:
        case ast.IfExp(body=one, orelse=other):
            return [*_alternatives(one), *_alternatives(other)]
        case ast.BoolOp(values=values):
            return [part for each in values for part in _alternatives(each)]
    return [value]


def _refused(
    body: Body,
    call: ast.Call,
    function: Callable[..., object],
    arguments: Mapping[str, ast.expr],
    more: Mapping[str, ast.expr],
) -> Iterator[Mistake]:
    """Make the command with the known arguments, and yield its error about them."""
    known = {name: _known(body, name, node) for name, node in arguments.items()}
    if {"delay", "until"} <= known.keys() and UNKNOWN in known.values():
        return  # of which either may be None
    given = {name: _STAND_INS.get(name, UNKNOWN) if value is UNKNOWN else value for name, value in known.items()}
    given = {name: value for name, value in given.items() if value is not UNKNOWN}
    fields: dict[str, Any] = dict.fromkeys(more)
    try:
        if function is commands.run_subflow:
            _make_child(body, arguments, given, fields)
        else:
            (function.__get__(waits.wait) if _is_method(function) else function)(**given, **fields)
    except WorkflowError as error:
        yield body.mistake(MistakeKind.REFUSED, call, f"makes a call that is refused: {str(error).rstrip('.')}")


def _make_child(
    body: Body, arguments: Mapping[str, ast.expr], given: dict[str, Any], fields: Mapping[str, Any]
) -> None:
    child, context = body.source.value(arguments["workflow"]), arguments.get("context")
    if not isinstance(child, type | str):
        return
    given.pop("workflow", None)
    known = _keys(body, context)
    if context is not None:
        given["context"] = known or {}
    commands.run_subflow(child, **given, **fields)
    inputs = inputs_of(registry.find(child))
    if known is not None and (missing := inputs.missing({**known, **fields})):
        raise WorkflowError(f"the child {registry.find(child).name!r} needs {', '.join(map(repr, missing))}")


def _keys(body: Body, context: ast.expr | None) -> dict[str, Any] | None:
    """Return the keys of ``context=``, or None where only a run knows them."""
    match context:
        case None | ast.Constant(value=None):
            return {}
        case ast.Dict(keys=keys) if all(isinstance(key, ast.Constant) for key in keys):
            return {str(body.literal(key)): None for key in keys if key is not None}
    return None


def _known(body: Body, name: str, node: ast.expr) -> object:
    value = body.literal(node)
    return "step" if value is UNKNOWN and name in _TARGETS else value


def _undeclared(body: Body, call: ast.Call, fields: Mapping[str, ast.expr]) -> Iterator[Mistake]:
    context_class = body.definition.context_class
    for name in fields:
        if not known_fields(context_class, {name: None}):
            declared = [
                each
                for key, field in context_class.model_fields.items()
                for each in field_names(context_class, key, field)
            ]
            text = f"completes with {name}=, which its Context does not declare, so it is dropped"
            yield body.mistake(MistakeKind.DROPPED, call, text, did_you_mean(name, declared, "The Context declares"))


_DETECTORS: Mapping[type[ast.AST], tuple[Callable[[Body, Any], Iterator[Mistake]], ...]] = {
    ast.Expr: (_lost_command, _called_step),
    ast.Raise: (_raised_command,),
    ast.Return: (_called_step,),
    ast.FunctionDef: (_nested_step,),
    ast.AsyncFunctionDef: (_nested_step,),
    ast.Call: (_refused_call,),
}
