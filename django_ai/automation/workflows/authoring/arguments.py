"""Checks the arguments of commands, and gives them the form in which a command holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from ... import storable
from ..exceptions import InvalidCommand
from ..machine.commands import Command
from .methods import LONGEST_NAME, NAME_ATTRIBUTE

# A step is named by itself (self.step) or by its name.
StepReference = str | Callable[..., Any]


def step_name(step: Callable[..., Any]) -> str | None:
    """Return the name of the attribute that holds a step, which its function may not have."""
    name: str | None = getattr(step, NAME_ATTRIBUTE, None) or getattr(step, "__name__", None)
    return name


def as_reference(step: StepReference, where: str) -> str:
    """Return the name of a step; ``where`` says in an error which argument it is. Raises InvalidCommand."""
    if isinstance(step, str) and step:
        return str.__str__(step)  # of an enumeration's member its value
    name = None if isinstance(step, str) else step_name(step)
    if not name or name == "<lambda>":
        raise InvalidCommand(f"{where} takes a step as self.step or by its name, not {_called(step)}.")
    return name


def _called(step: object) -> str:
    if isinstance(step, Command):
        return f"the {type(step).__name__} that a call of one returned: leave out the parentheses after self.step"
    return "a lambda" if getattr(step, "__name__", None) == "<lambda>" else repr(step)


def as_optional_reference(step: StepReference | None, where: str) -> str | None:
    """Return the name of a step as ``as_reference`` does, None for None."""
    return None if step is None else as_reference(step, where)


def as_name(name: object, where: str) -> str:
    """Return the name of a signal or event. Raises InvalidCommand where it is none, or too long."""
    if not isinstance(name, str) or not name:
        raise InvalidCommand(f"{where} needs a name, not {name!r}.")
    if len(name) > LONGEST_NAME:
        raise InvalidCommand(f"{where}: a name has at most {LONGEST_NAME} characters, this one has {len(name)}.")
    if fault := storable.fault_of(name):
        raise InvalidCommand(f"{where}: a name must not be {fault}, as {name!r} is.")
    return str.__str__(name)  # of an enumeration's member its value


def as_moment(value: object, where: str) -> datetime:
    """Return a moment. Raises InvalidCommand unless it is an aware datetime that every database stores."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidCommand(f"{where} takes an aware datetime (see django.utils.timezone), not {value!r}.")
    if not storable.has_moment(value):
        raise InvalidCommand(
            f"{where} takes a moment of the years {storable.EARLIEST.year} to {storable.LATEST.year} (with some days"
            f" to spare for time zones), not {value!r}. To wait for ever, wait for a signal."
        )
    return value


def as_duration(value: Any, where: str) -> timedelta:
    """Return a time given as a timedelta or in seconds. Raises InvalidCommand where it is neither, or negative."""
    try:
        duration = value if isinstance(value, timedelta) else timedelta(seconds=_number(value))
    except (TypeError, ValueError, OverflowError):
        raise InvalidCommand(f"{where} takes a timedelta or seconds, not {value!r}.") from None
    if duration < timedelta(0):
        raise InvalidCommand(f"{where} must not be negative, and is {duration}.")
    return duration


def as_progress(progress: float | None) -> float | None:
    """Return a progress as a number, None for None. Raises InvalidCommand."""
    if progress is None:
        return None
    try:
        return float(_number(progress))
    except (TypeError, ValueError, OverflowError):
        raise InvalidCommand(f"progress={progress!r} is not a number from 0 to 1.") from None


def as_display(**texts: str | None) -> Mapping[str, str]:
    """Return the texts that are given."""
    return {key: str(text) for key, text in texts.items() if text is not None}


def _number(value: Any) -> Any:
    if isinstance(value, bool | str):
        raise TypeError
    return value
