"""The safety net: what is due wakes, and messages that were lost are sent again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import F, Q

from ... import clock
from ...conf import settings
from .. import logs
from ..machine.commands import WaitKind
from ..machine.statuses import FINAL, RUNNING
from ..models import Signal, SignalKind, SignalState, Suspension, WorkflowRun
from . import bursts, dispatch, rows, waits, worker

logger = logging.getLogger(__name__)

# A message is sent again after this many times RESEND_AFTER_SECONDS at the latest.
MOST_PAUSES = 10


@dataclass(frozen=True, slots=True)
class Tick:
    """What one pass of the scheduler did."""

    woken: int = 0
    resent: int = 0
    delivered: int = 0
    caught_up: int = 0
    bursts: int = 0


def tick() -> Tick:
    """Do one pass: wake what is due, send again what was lost. Any number may run at once."""
    return Tick(
        woken=wake_due(),
        resent=resend_steps(),
        delivered=resend_deliveries(),
        caught_up=waits.catch_up(),
        bursts=bursts.start_due(),
    )


def wake_due() -> int:
    """End the waits whose time has come, oldest first; return how many."""
    waits = Suspension.objects.using(rows.alias()).filter(due_at__lte=clock.now())
    ids = list(waits.order_by("due_at").values_list("pk", flat=True)[: settings.BATCH_SIZE])
    return sum(_wake(run_id) for run_id in ids)


def _wake(run_id: int) -> bool:
    try:
        return worker.move_suspended(run_id, worker.due, skip_locked=True)
    except Exception:  # one run that cannot be woken must not keep the others asleep
        logger.exception("Run #%s could not be woken.", run_id, extra=logs.fields(run_id=run_id))
        return False


def resend_steps(age: timedelta | None = None) -> int:
    """Send again the messages of steps that nobody has claimed, or whose worker is gone.

    Args:
        age: how old a message must be; by default ``DJANGO_AI["RESEND_AFTER_SECONDS"]``, and twice as
            old each time it was sent again in vain.

    What is sent is stamped under SKIP LOCKED, so neither two schedulers nor the next tick send it
    once more.
    """
    silent = Q(lease_until__isnull=True) & _silent(age, since="updated_at")
    lost = Q(lease_until__lt=clock.now())
    runs = WorkflowRun.objects.using(rows.alias())
    with rows.transaction_of_runs():
        found = list(
            runs.select_for_update(**rows.lock_options(skip_locked=True))
            .filter(silent | lost, status=RUNNING)
            .order_by("id")[: settings.BATCH_SIZE]
        )
        taken_back = [run.pk for run in found if run.lease_until is not None]
        runs.filter(pk__in=taken_back, status=RUNNING).update(updated_at=clock.now())
        ids = [run.pk for run in found]
        runs.filter(pk__in=ids, status=RUNNING).update(dispatched_at=clock.now(), lease_until=None)
        for run in found:
            dispatch.step(run)
    return len(found)


def resend_deliveries(age: timedelta | None = None) -> int:
    """Send again the deliveries of messages that still lie in the inbox of a run that can take them."""
    signals = Signal.objects.using(rows.alias())
    with rows.transaction_of_runs():
        found = list(
            signals.select_for_update(**rows.lock_options(skip_locked=True))
            .filter(deliverable(), _silent(age, since="created_at"), state=SignalState.PENDING)
            .order_by("id")[: settings.BATCH_SIZE]
        )
        ids = [signal.pk for signal in found]
        signals.filter(pk__in=ids).update(dispatched_at=clock.now())
        for run_id in dict.fromkeys(signal.run_id for signal in found):
            dispatch.delivery(run_id)
    return len(found)


def deliverable() -> Q:
    """Return the condition under which a pending message can be delivered, or given up, right now."""
    awaited = Q(run__suspension__kind=F("kind"), run__suspension__name=F("name"))
    of_child = Q(kind=SignalKind.CHILD, run__suspension__kind=WaitKind.CHILD)
    given_up = Q(kind=SignalKind.CANCEL) & ~Q(run__status__in=FINAL)
    overdue = Q(sequence__isnull=False) & ~Q(run__sequence=F("sequence"))
    # Kept for a wait that will not come any more; the delivery marks it missed.
    too_late = Q(run__status__in=FINAL)
    return awaited | of_child | given_up | overdue | too_late


def _silent(age: timedelta | None, since: str) -> Q:
    """Return the condition under which what was sent has been silent for so long that it is sent again.

    A message that is merely waiting in a long queue must not be doubled each time, or the queue grows
    by its own length: the pause doubles, up to ten times the first.
    """
    if age is not None:
        return Q(dispatched_at__lte=clock.now() - age)
    first = timedelta(seconds=settings.RESEND_AFTER_SECONDS)
    doubled = Q(dispatched_at__lte=clock.now() - (F("dispatched_at") - F(since)))
    longest = Q(dispatched_at__lte=clock.now() - MOST_PAUSES * first)
    return Q(dispatched_at__lte=clock.now() - first) & (doubled | longest)
