"""What a parent learns of its child run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from ..machine.statuses import WorkflowStatus

ContextT = TypeVar("ContextT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class SubflowResult(Generic[ContextT]):
    """The end of a child run.

    Attributes:
        status: COMPLETED or FAILED (a cancelled child counts as failed).
        context: the child's final context.
        run_id: the child's run.
        error: why the child failed, else None.
    """

    status: WorkflowStatus
    context: ContextT
    run_id: int
    error: str | None = None
