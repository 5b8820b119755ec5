"""The safety net: what is due wakes, and messages that were lost are sent again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from django.db.models import F, Q

from ... import broker, clock
from ...conf import settings
from ..machine.commands import WaitKind
from ..machine.statuses import FINAL, RUNNING
from ..models import Signal, SignalKind, SignalState, Suspension, WorkflowRun
from . import bursts, childless, dispatch, notices, rows, waits

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
    children_lost: int = 0


def tick() -> Tick:
    """Do one pass: wake what is due, send again what was lost. Any number may run at once."""
    done = Tick(
        woken=_in_batches(wake_due),
        resent=_in_batches(resend_steps),
        delivered=_in_batches(resend_deliveries),
        caught_up=waits.catch_up(),
        bursts=bursts.start_due(),
        children_lost=childless.watch.tell(),
    )
    notices.ticked(resent=done.resent, redelivered=done.delivered)
    return done


def _in_batches(send: Callable[[], int]) -> int:
    """Let a function send one full batch after the other, though no longer than until the next tick."""
    done, until = 0, monotonic() + settings.TICK_SECONDS
    while True:
        sent = send()
        done += sent
        if sent < settings.BATCH_SIZE or monotonic() >= until:
            return done


def wake_due(age: timedelta | None = None) -> int:
    """Ask workers to end the waits whose time has come, oldest first; return how many.

    Args:
        age: after which time to ask again; by default ``DJANGO_AI["RESEND_AFTER_SECONDS"]``, then
            twice as long each time.
    """
    waiting = Suspension.objects.using(rows.alias())
    free = Q(run__lease_until__isnull=True) | Q(run__lease_until__lt=clock.now())  # no form is being done
    with rows.transaction_of_runs():
        found = list(
            waiting.select_for_update(**rows.lock_options(skip_locked=True))
            .filter(free, Q(dispatched_at__isnull=True) | _silent(age, "due_at"), due_at__lte=clock.now())
            .select_related("run")
            .only("run__name", "run__version", "run__current_step", "run__sequence")
            .order_by("due_at")[: settings.BATCH_SIZE]
        )
        waiting.filter(pk__in=[wait.pk for wait in found]).update(dispatched_at=clock.now())
        dispatch.timers_due(wait.run for wait in found)
    return len(found)


def resend_steps(age: timedelta | None = None) -> int:
    """Send again the messages of steps that nobody has claimed, or whose worker is gone.

    Args:
        age: how old a message must be; by default ``DJANGO_AI["RESEND_AFTER_SECONDS"]``, then twice
            as old each time: what waits in a long queue must not make it longer and longer.

    What is sent is stamped under SKIP LOCKED, so neither two schedulers nor the next tick send it
    once more.
    """
    silent = Q(lease_until__isnull=True) & _silent(age, "updated_at")
    lost = Q(lease_until__lt=clock.now())
    runs = WorkflowRun.objects.using(rows.alias())
    with rows.transaction_of_runs():
        found = list(
            runs.select_for_update(**rows.lock_options(skip_locked=True))
            .filter(silent | lost, status=RUNNING)
            .only("name", "version", "current_step", "sequence", "attempt", "lease_until")
            .order_by("id")[: settings.BATCH_SIZE]
        )
        for ended, more in ((False, {}), (True, {"updated_at": clock.now()})):
            ids = [run.pk for run in found if bool(run.lease_until) is ended]
            runs.filter(pk__in=ids, status=RUNNING).update(dispatched_at=clock.now(), lease_until=None, **more)
        dispatch.steps(found)
        notices.lost([run for run in found if run.lease_until is not None])
    return len(found)


def resend_deliveries(age: timedelta | None = None) -> int:
    """Send again the deliveries of messages that still lie in the inbox of a run that can take them."""
    signals = Signal.objects.using(rows.alias())
    with rows.transaction_of_runs():
        found = list(
            signals.select_for_update(**rows.lock_options(skip_locked=True))
            .filter(deliverable(), _silent(age, "created_at"), state=SignalState.PENDING)
            .only("run_id")
            .order_by("dispatched_at")[: settings.BATCH_SIZE]
        )
        signals.filter(pk__in=[signal.pk for signal in found]).update(dispatched_at=clock.now())
        dispatch.deliveries(signal.run_id for signal in found)
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
    by its own length: the pause doubles, up to ten times the first. A broker within this process never
    gets the messages of other processes, such as a shell's, so there the first pause is the tick's.
    """
    if age is not None:
        return Q(dispatched_at__lte=clock.now() - age)
    first = timedelta(seconds=settings.RESEND_AFTER_SECONDS)
    doubled = Q(dispatched_at__lte=clock.now() - (F("dispatched_at") - F(since)))
    longest = Q(dispatched_at__lte=clock.now() - MOST_PAUSES * first)
    if broker.is_in_process():
        return doubled | longest
    return Q(dispatched_at__lte=clock.now() - first) & (doubled | longest)
