"""What a workflow is made of, as the machine sees it: plain data that authoring reads off a class."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from ... import storable
from ..exceptions import InvalidCommand, NoStartStep, UnknownStep, WorkflowError
from ..metadata import StepDisplayMetadata
from .commands import Wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often, and after which pauses, a failing step runs again.

    Args:
        max_attempts: how often the step runs at most, the first time included; at least 1.
        base_delay: the pause after the first failure.
        max_delay: the longest pause.
        backoff_factor: by how much each pause is longer than the one before.
        jitter: the part of each pause, 0 to 1, that is left to chance, so that many runs which
            failed together do not come back together. 0 means exact pauses.
        non_retryable: exception types after which the step is not run again.
    """

    max_attempts: int = 3
    base_delay: timedelta = timedelta(seconds=1)
    max_delay: timedelta = timedelta(minutes=5)
    backoff_factor: float = 2.0
    jitter: float = 0.0
    non_retryable: tuple[type[Exception], ...] = ()

    def __post_init__(self) -> None:
        for name, is_right, what in _RETRY_ARGUMENTS:
            value = getattr(self, name)
            if not is_right(value):
                raise InvalidCommand(f"Retry({name}={value!r}) must be {what}.")

    def allows(self, error: BaseException, attempt: int) -> bool:
        """Say whether the step may run again after ``attempt`` attempts ended with ``error``."""
        if isinstance(error, WorkflowError) and not error.retryable:
            return False
        return attempt < self.max_attempts and not isinstance(error, tuple(self.non_retryable))

    def delay(self, attempt: int, chance: float = 0.0) -> timedelta:
        """Return the pause after attempt number ``attempt`` (from 1) failed."""
        longest = self.max_delay.total_seconds()
        try:
            seconds = self.base_delay.total_seconds() * self.backoff_factor ** (attempt - 1)
        except OverflowError:
            seconds = longest
        return timedelta(seconds=min(seconds, longest) * (1 - self.jitter * chance))


def _is_delay(value: object) -> bool:
    return isinstance(value, timedelta) and timedelta(0) <= value <= storable.LONGEST_PAUSE


def _is_number(value: object, least: float, most: float) -> bool:
    return isinstance(value, int | float) and least <= value <= most


def _are_exceptions(value: object) -> bool:
    kinds = value if isinstance(value, tuple | list | set | frozenset) else (None,)
    return all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds)


# Each argument of Retry, what is right for it, and how that is said.
_RETRY_ARGUMENTS: tuple[tuple[str, Callable[[object], bool], str], ...] = (
    ("max_attempts", lambda value: isinstance(value, int) and value >= 1, "an integer of at least 1"),
    ("base_delay", _is_delay, "a timedelta that is not negative, and at most a thousand years"),
    ("max_delay", _is_delay, "a timedelta that is not negative, and at most a thousand years"),
    ("backoff_factor", lambda value: _is_number(value, 1, sys.float_info.max), "a number of at least 1"),
    ("jitter", lambda value: _is_number(value, 0, 1), "a number between 0 and 1"),
    ("non_retryable", _are_exceptions, "a tuple of exception types"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTrigger:
    """The event that starts a workflow, and how long after it (negative: before).

    With ``debounce`` events of one ``debounce_key`` start one run together, when none has come for
    that long.
    """

    event: str
    offset: Any
    debounce: timedelta | None = None
    debounce_key: Callable[[Any], object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDefinition:
    """One step of a workflow; ``required`` are those of its ``parameters`` that have no default."""

    name: str
    function: Callable[..., Any]
    start: bool = False
    retry: Retry | None = None
    queue: str | None = None
    atomic: bool = True
    display: StepDisplayMetadata | None = None
    entry: Wait | None = None
    action: Any = None
    parameters: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    aliases: tuple[str, ...] = ()
    timeout: timedelta | None = None
    title: str | None = None
    visible: bool = True

    @property
    def place(self) -> str:
        """Where the step is written, as ``file:line``."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        return f"{code.co_filename}:{code.co_firstlineno}" if code else "unknown"

    @property
    def is_form(self) -> bool:
        """Whether the body runs with what a person posts, and never without."""
        return self.action is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowDefinition:
    """A workflow class, read once when it is declared. ``steps`` keep the order of the class body."""

    name: str
    version: str
    cls: type
    context_class: type[BaseModel]
    steps: Mapping[str, StepDefinition]
    retry: Retry | None = None
    queue: str | None = None
    trigger: EventTrigger | None = None
    retention: timedelta | None = None

    @property
    def start(self) -> StepDefinition:
        """The first step. Raises NoStartStep where none is declared."""
        for step in self.steps.values():
            if step.start:
                return step
        raise NoStartStep(
            f"Workflow {self.name!r} cannot start: declare one step of {self.cls.__name__} with @step(start=True)."
        )

    def find(self, name: str) -> StepDefinition | None:
        """Return a step by its name or by one that it had before, None where there is none."""
        renamed = (step for step in self.steps.values() if name in step.aliases)
        return self.steps.get(name) or next(renamed, None)

    def step(self, name: str) -> StepDefinition:
        """Return a step as ``find`` does. Raises UnknownStep."""
        step = self.find(name)
        if step is None:
            close = get_close_matches(name, self.steps, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"It has: {', '.join(self.steps) or 'none'}."
            raise UnknownStep(f"Workflow {self.name!r} has no step {name!r}. {hint}")
        return step

    def step_after(self, name: str, skipping: str | None) -> str | None:
        """Return the name of the next step in the order of the class, or None after the last."""
        names = list(self.steps)
        following = names[names.index(name) + 1 :]
        skipped = self.find(skipping or "")
        return next((candidate for candidate in following if self.steps[candidate] is not skipped), None)

    def retry_of(self, step: StepDefinition) -> Retry:
        """Return the policy that holds for a step: its own, else the workflow's, else the default."""
        return step.retry or self.retry or Retry()
