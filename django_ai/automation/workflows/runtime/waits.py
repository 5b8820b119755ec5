"""Events and the runs that wait for them, whichever of the two commits first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from ... import clock
from ...events.models import Event, EventStatus
from ..machine.commands import WaitKind
from ..models import Signal, SignalKind, SignalState, Suspension, WorkflowRun
from . import inbox, rows
from .contexts import event_fields

# A wait and an event that commit at the same moment may miss each other; as long as either is this
# young the scheduler brings them together. Far longer than such a transaction takes.
RACE = timedelta(seconds=60)


# An event's transaction may have begun this long before the step whose wait it overlaps.
OVERLAP = timedelta(seconds=1)


def answer_waits(events: Sequence[Event]) -> None:
    """Hand the events that occur to the runs that wait for them, in the caller's transaction."""
    keys, numbers = {event.correlation for event in events}, [event.pk for event in events]
    any_key_or_theirs = Q(correlation__isnull=True) | Q(correlation__in=keys)
    waiting = _waiting().filter(any_key_or_theirs, name__in={event.name for event in events})
    _answer(waiting, events)
    _again_after_a_long_transaction(lambda: _bring_together(waiting.all(), pk__in=numbers))


def look_back(run: WorkflowRun, wait: Suspension) -> None:
    """Hand a run that begins to wait the first fitting event since the moment from which it counts.

    An event that the run has had before does not count again.
    """
    events = Event.objects.using(rows.alias()).occurred(wait.name, correlation=wait.correlation, since=wait.since)
    had = _had({run.pk: run.sequence}, since=wait.since)
    not_had = events.exclude(pk__in=[event_id for _, event_id in had] + [run.triggered_by_event_id or 0])
    found = not_had.order_by("occurred_at", "id").first()
    if found is not None:
        inbox.post_many([_answer_of(wait, run.sequence, found)])
    number, since = run.pk, wait.since
    _again_after_a_long_transaction(lambda: _bring_together(_waiting().filter(pk=number), occurred_at__gte=since))


def catch_up() -> int:
    """Bring together waits and events that committed at the same moment; return how many."""
    young = clock.now() - RACE
    return _bring_together(_waiting().filter(created_at__gte=young), occurred_at__gte=young)


def _again_after_a_long_transaction(look: Callable[[], object]) -> None:
    """Look once more when the caller's transaction commits, if ``catch_up`` might come too late by then."""
    began = monotonic()

    def look_again() -> None:
        if monotonic() - began > RACE.total_seconds() / 2:
            with rows.transaction_of_runs():
                look()

    transaction.on_commit(look_again, using=rows.alias(), robust=True)


def _bring_together(waiting: QuerySet[Suspension], **which: Any) -> int:
    waits = list(waiting)
    if not waits:
        return 0
    names = {wait.name for wait in waits}
    events = list(Event.objects.using(rows.alias()).filter(name__in=names, status=EventStatus.OCCURRED, **which))
    since = min((wait.since for wait in waits if wait.since), default=None)
    return _answer(waits, events, _had({wait.pk: wait.run.sequence for wait in waits}, since=since) if events else ())


def _had(runs: Mapping[int, int], *, since: datetime | None) -> set[tuple[int, int]]:
    """Return the runs, given with their sequences, and the events since then that they took or are about to take.

    One that was meant for an earlier wait, which something else had ended, was never taken.
    """
    answers = Signal.objects.using(rows.alias()).filter(run_id__in=list(runs), kind=SignalKind.EVENT)
    if since is not None:
        answers = answers.filter(created_at__gte=since - OVERLAP)
    found = answers.exclude(state=SignalState.MISSED).values_list("run_id", "payload__event_id", "state", "sequence")
    return {
        (run_id, event_id)
        for run_id, event_id, state, sequence in found
        if state != SignalState.PENDING or sequence == runs[run_id]
    }


def _waiting() -> QuerySet[Suspension]:
    waits = Suspension.objects.using(rows.alias()).filter(kind=WaitKind.EVENT).select_related("run")
    return waits.only("name", "correlation", "since", "run__sequence", "run__triggered_by_event_id")


def _answer(
    waits: Iterable[Suspension], events: Sequence[Event], had: Collection[tuple[int, int]] = frozenset()
) -> int:
    by_key = defaultdict(list)
    for wait in waits:
        by_key[wait.name, wait.correlation].append(wait)
    answers = [
        _answer_of(wait, wait.run.sequence, event)
        for event in events
        for wait in (*by_key[event.name, None], *by_key[event.name, event.correlation])
        if _counts(wait, event) and (wait.pk, event.pk) not in had
    ]
    inbox.post_many(answers)
    return len(answers)


def _counts(wait: Suspension, event: Event) -> bool:
    if event.pk == wait.run.triggered_by_event_id:
        return False  # the run has had it: it began with it
    return wait.since is None or event.occurred_at is None or event.occurred_at >= wait.since


def _answer_of(wait: Suspension, sequence: int, event: Event) -> Signal:
    return Signal(
        run_id=wait.pk, kind=SignalKind.EVENT, name=event.name, payload=event_fields(event), sequence=sequence
    )
