"""What @step decorates: whether a run can call it, and with which arguments."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cached_property, partial, partialmethod
from typing import Any

from ...signatures import closest
from ..exceptions import DeclarationError
from ..machine.commands import ENTRY_ATTRIBUTE, Wait
from .sources import at, place_of_function

# The attributes under which decorators leave their options on a step's function.
STEP_ATTRIBUTE = "__workflow_step__"
NAME_ATTRIBUTE = "__workflow_step_name__"
ACTION_ATTRIBUTE = "__workflow_action__"

# The most characters of a name in the tables of runs.
LONGEST_NAME = 200

# The arguments that the engine gives to a step that has a parameter of this name, beside the values of a form.
SUBFLOW_RESULT = "subflow_result"
SUPPLIED = frozenset({SUBFLOW_RESULT})

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def where(cls: type, name: str, function: Any) -> str:
    """Return what errors call a step: its class, its name and where it is written."""
    return f"{cls.__name__}.{name}{at(place_of_function(inner_function(function)))}"


def inner_function(value: Any) -> Any:
    """Return the function inside a staticmethod, a property and the like, else the value itself."""
    match value:
        case staticmethod() | classmethod():
            return value.__func__
        case property():
            return value.fget
        case cached_property() | partial() | partialmethod():
            return value.func
    return value


def check_decorated(decorator: str, function: Any) -> None:
    """Raise DeclarationError where a decorator of steps stands above something else than a function."""
    if inspect.isfunction(function):
        return
    inner = inner_function(function)
    name = getattr(inner, "__qualname__", repr(function)) + at(place_of_function(inner))
    raise DeclarationError(
        f"{decorator} decorates a plain method with the parameter self; {name} is a {type(function).__name__}."
    )


def check_method(cls: type, name: str, function: Any) -> None:
    """Raise DeclarationError unless the engine can call what is declared as a step."""
    for fault in _faults(name, function):
        raise DeclarationError(f"{where(cls, name, function)} {fault}")


def _faults(name: str, function: Any) -> Iterator[str]:
    if not inspect.isfunction(function):
        yield f"is a {type(function).__name__}: a step is a plain method with the parameter self."
    if inspect.isasyncgenfunction(function):
        yield "is an async generator (async def with yield): a step is a plain def that returns one command."
    if inspect.iscoroutinefunction(function):
        yield (
            "is async def, and async steps are not supported yet: a step is a plain def."
            " Call async code in it with asgiref.sync.async_to_sync(function)(…)."
        )
    if inspect.isgeneratorfunction(function):
        yield "contains yield, which makes it a generator: a step returns one command, as return goto(self.other)."
    if len(name) > LONGEST_NAME:
        yield f"has a name of {len(name)} characters; the database holds {LONGEST_NAME}."
    yield from _wrong_parameters(function)
    entry: Wait | None = getattr(function, ENTRY_ATTRIBUTE, None)
    if entry is not None and entry.then is not None:
        yield "waits as a decorator: after the wait its body runs, so leave out then=."
    if entry is not None and hasattr(function, ACTION_ATTRIBUTE):
        yield f"waits for its form already: put the wait for {entry.name!r} on a step before it."


def _wrong_parameters(function: Any) -> Iterator[str]:
    parameters = parameters_of(function)
    if not parameters or parameters[0].kind not in (*_POSITIONAL, inspect.Parameter.VAR_POSITIONAL):
        yield "is a method and needs the parameter self."
    required = required_parameters(function)
    by_position = [item.name for item in parameters[1:] if item.kind is inspect.Parameter.POSITIONAL_ONLY]
    if by_position:
        yield f"takes {by_position[0]!r} by position only, and the engine gives arguments by name: leave out the /."
    strange = [name for name in required if name not in SUPPLIED]
    if strange and not hasattr(function, ACTION_ATTRIBUTE):
        meant = closest(strange[0], SUPPLIED)
        hint = f"{meant} " if meant else ""
        yield (
            f"takes {strange[0]!r}, which nothing supplies. {hint}A step receives subflow_result, from run_subflow;"
            " read other data from self.context, or make the step a form with @statezero_action()."
        )


def parameters_of(function: Any) -> list[inspect.Parameter]:
    """Return the parameters of a step, with those of the function inside a wrapper that passes keywords on.

    Those inside have a default here, for the wrapper may supply them.
    """
    own = list(inspect.signature(function, follow_wrapped=False).parameters.values())
    inner = getattr(function, "__wrapped__", None)
    if not own or own[-1].kind is not inspect.Parameter.VAR_KEYWORD or not inspect.isfunction(inner):
        return own
    names = {item.name for item in own}
    passed = [item for item in parameters_of(inner)[1:] if item.kind not in _VARIABLE and item.name not in names]
    supplied = [item.replace(kind=inspect.Parameter.KEYWORD_ONLY, default=None) for item in passed]
    return [*own[:-1], *supplied, own[-1]]


def required_parameters(function: Any) -> list[str]:
    """Return the parameters after self that have no default."""
    parameters = parameters_of(function)[1:]
    return [item.name for item in parameters if item.default is item.empty and item.kind not in _VARIABLE]
