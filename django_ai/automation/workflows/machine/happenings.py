"""What can happen to a run, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Started:
    """The run is created; its first step is entered."""


@dataclass(frozen=True, slots=True)
class Returned:
    """A step's body returned ``value``, leaving ``context`` as it is now."""

    value: object
    context: BaseModel


@dataclass(frozen=True, slots=True)
class Raised:
    """A step's body raised. ``chance`` (0 to 1) is the random number that the jitter uses."""

    error: BaseException
    traceback: str = ""
    chance: float = 0.0


@dataclass(frozen=True, slots=True)
class Answered:
    """What the run waited for has come.

    ``payload`` merges into the context; ``inputs`` are arguments of the step that follows.
    """

    payload: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Due:
    """The suspension's time has come: a timer wakes, any other wait has timed out."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody gave the run up."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Retried:
    """An operator asked for the failed step to run again, with all its attempts.

    ``force`` repeats even a run that must not be repeated. ``is_awaited`` is False for a child whose
    parent no longer waits for it.
    """

    force: bool = False
    is_awaited: bool = True


Happening = Started | Returned | Raised | Answered | Due | Cancelled | Retried
