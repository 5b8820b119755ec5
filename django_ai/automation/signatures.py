"""Calls that do not fit a function's signature, and the name that their author probably meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def did_you_mean(name: str, names: Iterable[str], what: str = "It takes") -> str:
    """Return the sentence that follows an unknown name: the nearest of ``names``, else all of them after ``what``."""
    names = list(names)
    return closest(name, names) or f"{what}: {', '.join(names) or 'nothing'}."


def closest(name: str, names: Iterable[str]) -> str:
    """Return the question whether the nearest of ``names`` was meant, or an empty text where none is near."""
    close = get_close_matches(name, list(names), n=1)
    return f"Did you mean {close[0]!r}?" if close else ""


def keywords(signature: inspect.Signature) -> list[str]:
    """Return the parameters that a caller can give by name, without ``self``."""
    names = [parameter.name for parameter in signature.parameters.values() if parameter.kind in _BY_NAME]
    return [name for name in names if name != "self"]


def takes_any_keyword(signature: inspect.Signature) -> bool:
    """Return whether a signature has ``**kwargs``."""
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in signature.parameters.values())


def misfit(name: str, signature: inspect.Signature, args: Iterable[object], kwargs: Mapping[str, object]) -> str | None:
    """Return the error in the arguments of a call, or None where they fit.

    Args:
        name: how the message calls the function, such as ``goto()`` or ``@step``.
    """
    names = keywords(signature)
    unknown = [keyword for keyword in kwargs if keyword not in names]
    if unknown and not takes_any_keyword(signature):
        return f"{name} takes no {unknown[0]!r}. {did_you_mean(unknown[0], names)}"
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        return f"{name}: {error}. It takes: {', '.join(names)}."
    return None


def strict(name: str, fault: type[Exception]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function raise ``fault``, with the name that was meant, for arguments that it does not take.

    Python raises TypeError, which the engine would take for a crash of the step and try again.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except TypeError:
                if text := misfit(name, signature, args, kwargs):
                    raise fault(text) from None
                raise

        return called

    return decorate


def wrong_callback(function: Any, *args: object, **kwargs: object) -> str | None:
    """Return why ``function`` cannot be called with these arguments and give its answer at once, or None.

    The text completes a sentence whose subject is the function, such as ``data= is an async function``.
    """
    if not callable(function):
        return f"must be a function, not {function!r}"
    called = function if inspect.isroutine(function) else getattr(type(function), "__call__", function)  # noqa: B004
    if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
        return "must be a plain function, not async: nothing awaits it"
    if inspect.isgeneratorfunction(called):
        return "must be a plain function, not a generator: its body would never run"
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None  # of a function in C, which does not tell
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        return f"cannot be called that way: {error}"
    return None
