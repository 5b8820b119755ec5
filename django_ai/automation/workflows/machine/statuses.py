"""A run's statuses, and the one table of the moves between them."""

from __future__ import annotations

from enum import EnumType, StrEnum
from typing import Any

from .happenings import Answered, Cancelled, Due, Happening, Raised, Retried, Returned, Started


class _Choices(EnumType):
    """What Django's TextChoices offers of a class, without Django."""

    @property
    def values(cls) -> list[str]:
        """All values, in the order of the class."""
        return [value for value, _ in cls.choices]

    @property
    def labels(cls) -> list[str]:
        """All labels, in the order of the class."""
        return [label for _, label in cls.choices]

    @property
    def choices(cls) -> list[tuple[str, str]]:
        """Each value with its label, as a field takes them."""
        members: Any = cls
        return [(member.value, member.label) for member in members]


class WorkflowStatus(StrEnum, metaclass=_Choices):
    """Where a run stands. ``running`` means that it has a worker or wants one."""

    RUNNING = "running"
    SUSPENDED = "suspended"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def label(self) -> str:
        """The status as a heading for people."""
        return self.value.capitalize()

    @property
    def is_final(self) -> bool:
        """Whether a run in this status has ended."""
        return self in FINAL


class FailureKind(StrEnum):
    """How a run failed: its workflow returned fail(), a step raised for the last time, or a wait timed out."""

    FAIL = "fail"
    EXCEPTION = "exception"
    TIMEOUT = "timeout"


# For people. A row may have a kind that only newer code knows.
FAILURE_LABELS: dict[str, str] = {
    FailureKind.FAIL: "ended by fail()",
    FailureKind.EXCEPTION: "crashed",
    FailureKind.TIMEOUT: "timed out",
}


RUNNING = WorkflowStatus.RUNNING
SUSPENDED = WorkflowStatus.SUSPENDED
COMPLETED = WorkflowStatus.COMPLETED
FAILED = WorkflowStatus.FAILED
CANCELLED = WorkflowStatus.CANCELLED

FINAL = frozenset({COMPLETED, FAILED, CANCELLED})

# (status before, what happened) → the statuses that may follow. None: the run does not exist yet.
# The diagram in the docs is drawn from this table.
MOVES: dict[tuple[WorkflowStatus | None, type[Happening]], frozenset[WorkflowStatus]] = {
    (None, Started): frozenset({RUNNING, SUSPENDED}),
    (RUNNING, Returned): frozenset({RUNNING, SUSPENDED, COMPLETED, FAILED}),
    (RUNNING, Raised): frozenset({RUNNING, SUSPENDED, FAILED}),
    (RUNNING, Cancelled): frozenset({CANCELLED}),
    (SUSPENDED, Answered): frozenset({RUNNING, SUSPENDED, COMPLETED, FAILED}),
    (SUSPENDED, Due): frozenset({RUNNING, SUSPENDED, COMPLETED, FAILED}),
    (SUSPENDED, Returned): frozenset({RUNNING, SUSPENDED, COMPLETED, FAILED}),
    (SUSPENDED, Cancelled): frozenset({CANCELLED}),
    (FAILED, Retried): frozenset({RUNNING, SUSPENDED}),
}
