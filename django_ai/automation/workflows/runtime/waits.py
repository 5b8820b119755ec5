"""Events and the runs that wait for them, whichever of the two commits first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Any

from ... import clock
from ...events.models import Event
from ..machine.commands import WaitKind
from ..models import Signal, SignalKind, Suspension, WorkflowRun
from . import inbox, rows

# A wait and an event that commit at the same moment may miss each other; as long as either is this
# young the scheduler brings them together. Far longer than such a transaction takes.
RACE = timedelta(seconds=60)


# An event's transaction may have begun this long before the step whose wait it overlaps.
OVERLAP = timedelta(seconds=1)


def answer_waits(events: Sequence[Event]) -> None:
    """Hand the events that occur to the runs that wait for them, in the caller's transaction."""
    _answer(_waiting().filter(name__in={event.name for event in events}), events)


def look_back(run: WorkflowRun, wait: Suspension) -> None:
    """Hand a run that begins to wait the first fitting event since the moment from which it counts.

    An event that the run has had before does not count again.
    """
    events = Event.objects.using(rows.alias()).occurred(wait.name, correlation=wait.correlation, since=wait.since)
    had = list(_answers([run.pk]).values_list("payload__event_id", flat=True))
    found = events.exclude(pk__in=had).order_by("occurred_at", "id").first()
    if found is not None:
        inbox.post_many([_answer_of(wait, run.sequence, found)])


def catch_up() -> int:
    """Bring together waits and events that committed at the same moment; return how many."""
    waits = list(_waiting().filter(created_at__gte=clock.now() - RACE))
    if not waits:
        return 0
    names = {wait.name for wait in waits}
    events = Event.objects.using(rows.alias()).filter(
        name__in=names, status="occurred", occurred_at__gte=clock.now() - RACE
    )
    had = set(_answers([wait.pk for wait in waits]).values_list("run_id", "payload__event_id"))
    return _answer(waits, list(events), had)


def _answers(run_ids: Sequence[int]) -> Any:
    return Signal.objects.using(rows.alias()).filter(run_id__in=run_ids, kind=SignalKind.EVENT)


def _waiting() -> Any:
    waits = Suspension.objects.using(rows.alias()).filter(kind=WaitKind.EVENT).select_related("run")
    return waits.only("name", "correlation", "since", "run__sequence")


def _answer(
    waits: Iterable[Suspension], events: Sequence[Event], had: Collection[tuple[int, int]] = frozenset()
) -> int:
    by_name = defaultdict(list)
    for wait in waits:
        by_name[wait.name].append(wait)
    answers = [
        _answer_of(wait, wait.run.sequence, event)
        for event in events
        for wait in by_name[event.name]
        if _fits(wait, event) and (wait.pk, event.pk) not in had
    ]
    inbox.post_many(answers)
    return len(answers)


def _fits(wait: Suspension, event: Event) -> bool:
    if wait.correlation is not None and wait.correlation != event.correlation:
        return False
    return wait.since is None or event.occurred_at is None or event.occurred_at >= wait.since


def _answer_of(wait: Suspension, sequence: int, event: Event) -> Signal:
    return Signal(run_id=wait.pk, kind=SignalKind.EVENT, name=event.name, payload=_payload(event), sequence=sequence)


def _payload(event: Event) -> dict[str, Any]:
    return {
        **event.data,
        "event_id": event.pk,
        "event_name": event.name,
        "entity_id": event.entity_id,
    }
