"""Checks the arguments of commands, and gives them the form in which a command holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from ..exceptions import InvalidCommand
from .steps import NAME_ATTRIBUTE

# What the columns of the run's tables hold.
LONGEST_NAME = 200

# A step is named by itself (self.step) or by its name.
StepReference = str | Callable[..., Any]


def step_name(step: Callable[..., Any]) -> str | None:
    """Return the name of a step given as ``self.step``: that of its attribute, whatever its function is called."""
    name: str | None = getattr(step, NAME_ATTRIBUTE, None) or getattr(step, "__name__", None)
    return name


def as_reference(step: StepReference, where: str) -> str:
    """Return the name of a step; ``where`` says in an error which argument it is. Raises InvalidCommand."""
    name = step if isinstance(step, str) else step_name(step)
    if not name:
        raise InvalidCommand(f"{where} takes a step as self.step or by its name, not {step!r}.")
    return name


def as_optional_reference(step: StepReference | None, where: str) -> str | None:
    """Return the name of a step as ``as_reference`` does, None for None."""
    return None if step is None else as_reference(step, where)


def as_name(name: object, where: str) -> str:
    """Return the name of a signal or event. Raises InvalidCommand where it is none, or too long."""
    if not isinstance(name, str) or not name:
        raise InvalidCommand(f"{where} needs a name, not {name!r}.")
    if len(name) > LONGEST_NAME:
        raise InvalidCommand(f"{where}: a name has at most {LONGEST_NAME} characters, this one has {len(name)}.")
    return name


def as_moment(value: object, where: str) -> datetime:
    """Return a moment. Raises InvalidCommand unless it is an aware datetime."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidCommand(f"{where} takes an aware datetime (see django.utils.timezone), not {value!r}.")
    return value


def as_duration(value: Any, where: str) -> timedelta:
    """Return a time given as a timedelta or in seconds. Raises InvalidCommand where it is neither, or negative."""
    try:
        duration = value if isinstance(value, timedelta) else timedelta(seconds=value)
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
        return float(progress)
    except (TypeError, ValueError, OverflowError):
        raise InvalidCommand(f"progress={progress!r} is not a number from 0 to 1.") from None


def as_display(**texts: str | None) -> Mapping[str, str]:
    """Return the texts that are given."""
    return {key: str(text) for key, text in texts.items() if text is not None}
