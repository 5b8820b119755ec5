"""Makes due events occur: a batch is locked, marked and handed to its subscribers in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from time import monotonic

from django.db import InterfaceError, OperationalError, connections, transaction
from django.db.models import F

from .. import clock
from ..conf import settings
from . import delivery, ledger, timing
from .models import Event, EventQuerySet, database, entities
from .occurrence import Outcome, examine
from .signals import event_occurred, send_after_commit
from .subscriptions import Subscription, subscriptions

logger = logging.getLogger(__name__)


def occur_due(ids: Sequence[int] | None = None) -> int:
    """Do all that is due for events, batch after batch; return how many events were taken up.

    Any number of processes may do so at once: each event is taken up by one of them.

    Args:
        ids: only these events, by primary key.

    Stops after `DJANGO_AI["SECONDS_PER_TASK"]` even if more is due; the next call goes on.
    """
    deadline = monotonic() + settings.SECONDS_PER_TASK
    total = 0
    while True:
        taken = occur_batch(ids)
        total += taken
        if taken < settings.BATCH_SIZE or monotonic() > deadline:
            return total


def occur_batch(ids: Sequence[int] | None = None) -> int:
    """Do what is due for at most `DJANGO_AI["BATCH_SIZE"]` events; return how many were taken up."""
    candidates = due_events(ids)
    try:
        return _occur(candidates)
    except Exception:
        logger.exception("A batch of due events was rolled back; each is tried alone.")
    numbers = list(candidates.values_list("pk", flat=True))
    for number in numbers:
        _occur_alone(number)
    return len(numbers)


def due_events(ids: Sequence[int] | None = None) -> EventQuerySet:
    """Return the query for a batch of due events, those that have waited longest first."""
    due = Event.objects.using(database()).due()
    due = due if ids is None else due.filter(pk__in=ids)
    return due.order_by("next_due_at")[: settings.BATCH_SIZE]


def _occur_alone(number: int) -> None:
    try:
        _occur(due_events([number]))
    except (OperationalError, InterfaceError):
        logger.exception("Event #%s could not occur now; the scheduler tries again.", number)
    except Exception as error:
        logger.exception("Event #%s cannot occur.", number)
        with transaction.atomic(using=database()):
            for event in ledger.lockable(Event.objects.using(database()).filter(pk=number)):
                ledger.fail(event, f"{type(error).__name__}: {error}")
                ledger.update([event])


def _occur(candidates: EventQuerySet) -> int:
    locks = connections[database()].features.has_select_for_update_skip_locked
    # Where rows cannot be locked nothing may be read before the transaction's first write.
    numbers = [] if locks else list(candidates.values_list("pk", flat=True))
    if not locks and not numbers:
        return 0
    with transaction.atomic(using=database()):
        events = list(_locked(candidates) if locks else _touched(numbers))
        if events:
            _carry_out(events)
    return len(events)


def _locked(candidates: EventQuerySet) -> EventQuerySet:
    return candidates.annotate(now=clock.now()).select_for_update(skip_locked=True)


def _touched(numbers: list[int]) -> EventQuerySet:
    """Claim rows by writing to them: a second process waits here, and finds them no longer due."""
    due = Event.objects.using(database()).due().filter(pk__in=numbers)
    due.update(next_due_at=F("next_due_at"))
    return due.annotate(now=clock.now()).order_by("next_due_at")


def _carry_out(events: list[Event]) -> None:
    now: datetime = events[0].now  # type: ignore[attr-defined]  # annotated by the query
    found = entities(events)
    for event in events:
        event.entity = found.get(event.pk)
    outcomes = [examine(event, now) for event in events]
    ledger.update(events)
    ledger.insert([item.replaced_by for item in outcomes if item.replaced_by])
    failed = {event.pk: event for item, batch in _calls(outcomes) for event in delivery.deliver(item, batch, now)}
    if failed:
        for event in failed.values():
            event.next_due_at = timing.next_due(event, subscriptions.to(event.name))
        # No more than that: a handler may have moved its own event, which goes on as another row.
        ledger.update(list(failed.values()), ("deliveries", "failures", "next_due_at"))
    send_after_commit(event_occurred, [item.event for item in outcomes if item.itself], database())


def _calls(outcomes: list[Outcome]) -> list[tuple[Subscription, list[Event]]]:
    batches: dict[str, tuple[Subscription, list[Event]]] = {}
    for outcome in outcomes:
        for subscription in outcome.calls:
            batches.setdefault(subscription.key, (subscription, []))[1].append(outcome.event)
    return list(batches.values())
