"""What happens to a run, as a notice, and whoever wants to hear of it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from ...clock import Stopwatch
from ..machine.definition import WorkflowDefinition
from ..models import WorkflowRun


class Kind(StrEnum):
    """What happened."""

    RUN_STARTED = "run_started"
    RUN_SUSPENDED = "run_suspended"
    RUN_RESUMED = "run_resumed"
    RUN_RETRIED = "run_retried"
    RUN_COMPLETED = "run_completed"
    RUN_FAILED = "run_failed"
    RUN_CANCELLED = "run_cancelled"
    STEP_STARTED = "step_started"
    STEP_COMPLETED = "step_completed"
    STEP_RETRIED = "step_retried"
    STEP_FAILED = "step_failed"


ALL = frozenset(Kind)
NONE: frozenset[Kind] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that happened to a run and is in the database for good.

    Attributes:
        kind: what happened.
        run: the run as it was right after.
        step: the step that it happened at.
        attempt: the attempt of that step.
        at: when, by the database's clock.
        began_at: when the step's visit, the wait or the run began that now ends.
        wait: what the run waits for or has waited for, and, for a step that is retried, its pause.
        error: why it failed or was cancelled.
        raised: whether an exception of the step's code is the reason.
    """

    kind: Kind
    run: WorkflowRun
    step: str
    attempt: int
    at: datetime
    began_at: datetime | None = None
    wait: Any = None
    error: str = ""
    raised: bool = False

    @property
    def lasted(self) -> timedelta | None:
        """How long that took which now ends, or None where nothing does."""
        return self.at - self.began_at if self.began_at else None


class Claimed(Protocol):
    """Whoever runs a step: ``run`` moves on when the step is settled."""

    run: WorkflowRun
    watch: Stopwatch


class Listener:
    """Hears of runs. All it does must be quick; what it raises is logged and hurts nobody."""

    def wants(self) -> frozenset[Kind]:
        """Return what it wants to hear of now; asked by each task and for each move outside of one."""
        return NONE

    def hear(self, notice: Notice) -> None:
        """Take a notice, after the commit."""

    def around(self, claim: Claimed) -> AbstractContextManager[object] | None:
        """Return what surrounds the attempt of a step, None for nothing."""
        return None

    def raised(self, claim: Claimed, error: BaseException) -> None:
        """Take the exception of an attempt that failed, after that was settled."""

    def discarded(self, run: WorkflowRun) -> None:
        """Hear that the result of a step came too late: its lease was lost, or the run moved on."""

    def lost(self, run: WorkflowRun) -> None:
        """Hear that the worker of a run's step went silent, so that another one takes it over."""

    def ticked(self, resent: int, redelivered: int) -> None:
        """Hear how many messages of steps and to inboxes a pass of the scheduler sent again."""

    def trace_context(self, definition: WorkflowDefinition) -> str:
        """Return what a run that starts now keeps, so that its steps are found together with their origin."""
        return ""
