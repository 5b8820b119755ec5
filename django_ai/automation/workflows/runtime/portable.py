"""How every database claims and moves a run, in several statements: the definition of what that does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Any

from django.db.models import F, Min, Model, Q, QuerySet

from ... import clock
from ..machine.statuses import RUNNING, SUSPENDED
from ..models import Signal, SignalState, Suspension, WorkflowRun
from . import pace, rows
from .pipe import Pipe
from .writes import Writes


def transaction(*, alone: bool, savepoint: bool = False) -> AbstractContextManager[None]:
    """Open a transaction for what is to be written together, ``alone`` where that is one statement of this module."""
    return rows.transaction_of_runs(savepoint=savepoint)


def is_untouched() -> bool:
    """Say whether the transaction that the caller opened holds nothing yet and may as well end here."""
    return False


def claim(run_id: int, sequence: int, attempt: int) -> WorkflowRun | None:
    """Give the caller the lease of a run at this fence and return it, or None where it is not to be had."""
    return rows.despite_deadlocks(lambda: _claim(run_id, sequence, attempt))


def _claim(run_id: int, sequence: int, attempt: int) -> WorkflowRun | None:
    runs = WorkflowRun.objects.using(rows.alias()).filter(pk=run_id)
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=clock.now())
    first = {} if attempt else {"visit_started_at": clock.now()}
    claimed = runs.filter(free, status=RUNNING, sequence=sequence, attempt=attempt).update(
        attempt=F("attempt") + 1, lease_until=clock.now() + rows.lease(), **first
    )
    if not claimed:
        return None
    run = runs.annotate(db_now=clock.now()).get()
    return run if (run.sequence, run.attempt) == (sequence, attempt + 1) else None


def read(run_id: int) -> WorkflowRun | None:
    """Return a run as it is now, with its suspension, without a lock."""
    return WorkflowRun.objects.using(rows.alias()).select_related("suspension").filter(pk=run_id).first()


def lock(run_id: int) -> WorkflowRun | None:
    """Lock a run until the transaction ends and return it as it is then, with the database's time ``db_now``."""
    locked = rows.lock(run_id)
    return locked[0] if locked else None


def glances(run_ids: Sequence[int]) -> list[tuple[WorkflowRun, Signal | None]]:
    """Return those runs that are suspended with what they wait for and the first messages of their inboxes.

    They are read without a lock.
    """
    found: list[tuple[WorkflowRun, Signal | None]] = []
    for message in _first_messages(run_ids):
        run: Any = message.run
        run.db_now = message.db_now
        found.append((run, message))
    others = set(run_ids) - {run.pk for run, _ in found}
    if others:
        runs = WorkflowRun.objects.using(rows.alias()).select_related("suspension").annotate(db_now=clock.now())
        found += [(run, None) for run in runs.filter(pk__in=others, status=SUSPENDED, suspension__isnull=False)]
    return found


def _first_messages(run_ids: Sequence[int]) -> Iterable[Any]:
    """Return the first message of each run that waits and has one, with the run and its suspension."""
    messages = Signal.objects.using(rows.alias())
    inboxes = messages.filter(run_id__in=run_ids, state=SignalState.PENDING).values("run_id")
    of_waiting = messages.filter(run__status=SUSPENDED, run__suspension__isnull=False)
    first = of_waiting.filter(pk__in=inboxes.annotate(first=Min("id")).values("first"))
    return first.select_related("run__suspension").annotate(db_now=clock.now())


def pending(run_id: int) -> list[Signal]:
    """Return the messages that lie in a run's inbox, oldest first."""
    messages = Signal.objects.using(rows.alias()).filter(run_id=run_id, state=SignalState.PENDING)
    return list(messages.order_by("id"))


def number(run: WorkflowRun) -> bool:
    """Give a new run its number, in the transaction that is to insert it; say whether that was done along with it."""
    insert([run], 1)
    return True


def insert(new: Sequence[Model], batch_size: int) -> None:
    """Insert new rows of one model, which have their ids then."""
    _all(type(new[0]), rows.alias()).bulk_create(new, batch_size=batch_size)


def write(writes: Writes) -> bool:
    """Write a move in the caller's transaction; say whether the run was still there."""
    run = WorkflowRun.objects.using(writes.database).filter(pk=writes.run.pk)
    if not run.filter(**writes.fence).update(**writes.columns):
        return False
    if writes.ends_wait:
        Suspension.objects.using(writes.database).filter(pk=writes.run.pk).delete()
    for model, group in groupby(writes.rows, key=lambda row: row.model):
        _all(model, writes.database).bulk_create([row.instance() for row in group])
    if writes.message:
        Signal.objects.using(writes.database).filter(pk=writes.message.pk).update(**writes.marks)
    return True


def pipe() -> Pipe | None:
    """Return on what a move may be committed while the worker does something else, if there is such a thing."""
    return None


def send(pipe: Pipe, writes: Writes) -> bool:
    """Have a move written, as a transaction by itself; say whether it was sent, and the pipe has the answer."""
    return False


def claim_another(places: Sequence[pace.Place], after: int) -> WorkflowRun | None:
    """Claim one of the runs that were started shortly after another one, and wait for a worker at these places."""
    return None


def _all(model: type[Model], database: str) -> QuerySet[Model]:
    return QuerySet(model, using=database)
