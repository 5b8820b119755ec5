"""What a parent learns of its child run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

from pydantic import BaseModel

from ..exceptions import ContextInvalid
from ..machine.statuses import WorkflowStatus

ContextT = TypeVar("ContextT", bound=BaseModel)


class AbsentContext:
    """Stands for a context that cannot be read: it is false, and reading any field says why."""

    __slots__ = ("_reason",)

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __bool__(self) -> bool:
        return False

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ContextInvalid(self._reason)

    def __repr__(self) -> str:
        return f"<no context: {self._reason}>"


@dataclass(frozen=True, slots=True)
class SubflowResult(Generic[ContextT]):
    """The end of a child run.

    Attributes:
        status: COMPLETED or FAILED (a cancelled child counts as failed).
        context: the child's final context. Where it cannot be read, because the child was deleted or its
            data no longer fit the class, it is false, and each of its attributes raises ContextInvalid.
        run_id: the child's run.
        error: why the child failed, else None.
    """

    status: WorkflowStatus
    context: ContextT
    run_id: int
    error: str | None = None
