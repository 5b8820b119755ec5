"""The commands that a step returns, as data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from ..exceptions import DeclarationError
from .payloads import Accepts

Function = TypeVar("Function", bound=Callable[..., Any])

# The attribute under which a decorator leaves its wait on a step's function.
ENTRY_ATTRIBUTE = "__workflow_entry_wait__"


class WaitKind(StrEnum):
    """What a suspended run waits for."""

    TIMER = "timer"
    RETRY = "retry"
    SIGNAL = "signal"
    EVENT = "event"
    CHILD = "child"
    FORM = "form"


# Waits that end by the clock alone; for all others a due time is a time-out.
CLOCKS = frozenset({WaitKind.TIMER, WaitKind.RETRY})


@dataclass(frozen=True, slots=True)
class Goto:
    """Go on with another step."""

    step: str
    progress: float | None = None


@dataclass(frozen=True, slots=True)
class Sleep:
    """Do nothing for a time or until a moment, then go on with ``then`` (None: the same step)."""

    delay: timedelta | None = None
    until: datetime | None = None
    then: str | None = None
    progress: float | None = None
    display: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for a signal or an event.

    Returned from a step, the run goes on with ``then`` (None: the next step of the class) when the
    answer comes. As a decorator of a step, the step's body runs then.
    """

    kind: WaitKind
    name: str
    timeout: timedelta | None = None
    on_timeout: str | None = None
    then: str | None = None
    correlate: str | None = None
    since: timedelta | datetime | None = None
    accepts: Accepts | None = None
    progress: float | None = None
    display: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, function: Function) -> Function:
        """Decorate a step: its body runs after what is waited for has come. Raises DeclarationError elsewhere."""
        if not inspect.isfunction(function):
            raise DeclarationError(
                f"The wait for {self.name!r} decorates a plain method with @step(), not {type(function).__name__}"
                f" {getattr(function, '__name__', function)!r}. In a step, return it."
            )
        setattr(function, ENTRY_ATTRIBUTE, self)
        return function


@dataclass(frozen=True, slots=True)
class RunSubflow:
    """Start a child run and go on with ``on_complete`` when it has ended."""

    workflow: str
    version: str
    on_complete: str
    context: Mapping[str, Any] = field(default_factory=dict)
    timeout: timedelta | None = None
    on_timeout: str | None = None
    progress: float | None = None
    display: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Complete:
    """End the run successfully; ``fields`` merge into the context."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    display: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fail:
    """End the run as failed, without a retry."""

    reason: str
    display: Mapping[str, str] = field(default_factory=dict)
    retryable: bool = False


Command = Goto | Sleep | Wait | RunSubflow | Complete | Fail
