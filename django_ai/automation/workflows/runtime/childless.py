"""Runs that wait for a child whose row was deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ... import clock
from ...conf import settings
from ..machine.commands import WaitKind
from ..machine.statuses import FAILED
from ..models import Signal, SignalKind, SignalState, Suspension, WorkflowRun
from . import inbox, rows


class Childless(NamedTuple):
    """A run that waits, the number of its deleted child, and the child's workflow."""

    run_id: int
    child_id: int
    workflow: str


class Page(NamedTuple):
    """The childless runs among some waits for a child, and the last wait's run; None if no wait follows."""

    found: list[Childless]
    last: int | None


def page_after(run_id: int, size: int) -> Page:
    """Look at the next ``size`` waits for a child after this run's, in the order of an index."""
    database = rows.alias()
    waits = Suspension.objects.using(database).filter(kind=WaitKind.CHILD, pk__gt=run_id).order_by("pk")
    read = waits.values_list("pk", "run__active_subworkflow_run_id", "name")[:size]
    awaited = [Childless(run_id, child_id or 0, name) for run_id, child_id, name in read]
    # Primary keys are not used again, so a child that is not found now stays deleted.
    children = WorkflowRun.objects.using(database).filter(pk__in=[wait.child_id for wait in awaited])
    there = set(children.values_list("pk", flat=True)) if awaited else set()
    found = [wait for wait in awaited if wait.child_id not in there]
    return Page(found, awaited[-1].run_id if len(awaited) == size else None)


class Watch:
    """Checks all waits for a child in turn, one page in each pass of the scheduler."""

    def __init__(self) -> None:
        self._after = 0

    def tell(self) -> int:
        """Post the failure of deleted children to their parents on the next page; return the number of parents.

        Each process keeps its own position. A second message to a parent is missed, for its wait has ended.
        """
        found, last = page_after(self._after, settings.BATCH_SIZE)
        self._after = last or 0
        return inbox.post_many(_letter(wait) for wait in _untold(found)) if found else 0

    @property
    def is_at_start(self) -> bool:
        """Whether the next page is the first one."""
        return not self._after


def tell_all() -> int:
    """Post the failure of deleted children to all their parents; return the number of parents."""
    once, told = Watch(), 0
    while True:
        told += once.tell()
        if once.is_at_start:
            return told


def _untold(found: Sequence[Childless]) -> list[Childless]:
    """Leave out parents whose inbox has a result of the child: its own result takes precedence."""
    messages = Signal.objects.using(rows.alias()).filter(run__in=[wait.run_id for wait in found])
    pending = messages.filter(kind=SignalKind.CHILD, state=SignalState.PENDING).values_list("run_id", "name")
    told = {(run_id, str(name)) for run_id, name in pending}
    return [wait for wait in found if (wait.run_id, str(wait.child_id)) not in told]


def _letter(wait: Childless) -> Signal:
    payload: dict[str, Any] = {
        "run_id": wait.child_id,
        "workflow": wait.workflow,
        "version": None,
        "status": str(FAILED),
        "error": f"The child run #{wait.child_id} ({wait.workflow}) was deleted.",
        "data": None,
    }
    now = clock.recent(rows.alias())
    return inbox.letter(wait.run_id, SignalKind.CHILD, now, name=str(wait.child_id), payload=payload)


watch = Watch()
