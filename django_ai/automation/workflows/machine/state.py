"""A run as the machine sees it, and the Transition that the machine answers with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from .commands import WaitKind
from .payloads import Accepts
from .statuses import FailureKind, WorkflowStatus

# The most failures that are kept for one visit of a step.
MOST_FAILURES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failed attempt of a step; one that does not count had no code to run.

    ``attempts`` is how many it stands for, of which ``attempt`` is the last, where not all of them are kept.
    """

    attempt: int
    error: str
    traceback: str
    at: datetime
    counts: bool = True
    attempts: int = 1


def coalesce(failures: Sequence[Failure]) -> tuple[Failure, ...]:
    """Return the failures of a visit, with those between the first and the newest ones merged into one."""
    newest = len(failures) - MOST_FAILURES + 2
    if newest <= 2:
        return tuple(failures)
    kept = [failures[0]]
    for failure in failures[1:newest]:
        before = kept[-1]
        follows = before.attempt == failure.attempt - failure.attempts and len(kept) > 1
        if follows and before.counts and failure.counts:
            kept[-1] = replace(failure, attempts=before.attempts + failure.attempts, traceback="")
        else:
            kept.append(failure)
    return (*kept, *failures[newest:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """What a run waits for.

    ``due_at`` is when a timer wakes or any other wait times out (None: never). When the wait ends
    well the run goes on with ``then`` (None: it completes); with ``resumes_body`` the body of the
    current step runs instead, as after an entry wait or a back-off.
    """

    kind: WaitKind
    name: str = ""
    correlation: str | None = None
    due_at: datetime | None = None
    since: datetime | None = None
    then: str | None = None
    on_timeout: str | None = None
    resumes_body: bool = False
    created_at: datetime | None = None
    accepts: Accepts | None = None
    display: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """What the machine needs to know of a run.

    ``step`` and the steps of ``suspension`` have the names that the definition gives them now.
    ``context`` is as it was last committed; ``Unfitting`` where it no longer fits the Context class,
    None where the class is not known. ``is_repeatable`` is False for a failed run that ended by a
    ``fail()`` that did not say ``retryable=True``; ``missed`` is the wait, made by a step's body, that timed out
    and failed the run.
    """

    status: WorkflowStatus
    step: str
    sequence: int
    attempt: int
    progress: float
    context: BaseModel | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    suspension: Suspension | None = None
    is_repeatable: bool = True
    missed: Suspension | None = None

    @property
    def silent_attempts(self) -> list[int]:
        """The earlier attempts without a recorded failure: their workers were lost."""
        if self.attempt <= 1 + len(self.failures) and all(failure.attempts == 1 for failure in self.failures):
            return []
        known = {failure.attempt - before for failure in self.failures for before in range(failure.attempts)}
        return [attempt for attempt in range(1, self.attempt) if attempt not in known]

    @property
    def excused(self) -> int:
        """How many of the attempts do not count."""
        return sum(not failure.counts for failure in self.failures)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """The row of history that a step's visit leaves when it has ended."""

    step: str
    status: WorkflowStatus
    attempts: int
    error: str = ""
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildStart:
    """A child run to start together with the transition."""

    workflow: str
    version: str
    context: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """How a run moves: all that the commit writes, and nothing that it leaves as it was.

    ``context`` None means unchanged. A run that is RUNNING with attempt 0 wants a worker for the
    body of ``step``; ``(sequence, attempt)`` is its new fence. ``is_overdue`` says that a wait ends for want of an
    answer. ``leaves`` names the step from which the run goes on elsewhere as its wait ends: that visit is complete.
    ``failure_kind`` and ``retryable`` are those of a run that fails.
    """

    status: WorkflowStatus
    step: str
    sequence: int
    attempt: int = 0
    progress: float
    context: BaseModel | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    error: str = ""
    failure_kind: FailureKind | None = None
    retryable: bool | None = None
    suspension: Suspension | None = None
    record: StepRecord | None = None
    child: ChildStart | None = None
    gives_up_child: bool = False
    is_overdue: bool = False
    leaves: str | None = None
    completion_display: Mapping[str, str] = field(default_factory=dict)
