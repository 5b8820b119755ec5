"""One transaction: due events are locked, marked and handed to their subscribers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import connections, transaction
from django.db.models import F

from .. import clock
from . import delivery, ledger, timing
from .models import Event, EventQuerySet, OpenBatch, database, entities
from .occurrence import Outcome, examine
from .signals import event_occurred, send_after_commit
from .subscriptions import Subscription, subscriptions


def occur(numbers: Sequence[int], opened: OpenBatch | None = None) -> int:
    """Do what is due for these events, as far as nobody else does; return how many were taken up.

    Args:
        numbers: primary keys of events.
        opened: what has recorded that this process is at it; it goes with the same commit.
    """
    with transaction.atomic(using=database()):
        if opened is not None:
            OpenBatch.objects.using(database()).filter(pk=opened.pk).delete()
        events = list(_claim(numbers))
        if events:
            _carry_out(events)
    return len(events)


def record_failure(number: int, broken: delivery.TransactionBroken) -> None:
    """Count a handler's failure that was rolled back with all else, in a transaction of its own."""
    with transaction.atomic(using=database()):
        events = list(ledger.lockable(Event.objects.using(database()).filter(pk=number)))
        for event in events:
            delivery.mark_failed(event, broken.subscription, broken.error, clock.read(database()))
        _save_failures(events)


def _claim(numbers: Sequence[int]) -> EventQuerySet:
    due = Event.objects.using(database()).due().filter(pk__in=numbers)
    if connections[database()].features.has_select_for_update_skip_locked:
        return due.annotate(now=clock.now()).order_by("next_due_at").select_for_update(skip_locked=True)
    # Claimed by writing: a second process waits here, and then finds them no longer due.
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
    failed = {event.pk: event for item, some in _calls(outcomes) for event in delivery.deliver(item, some, now)}
    if failed:
        _save_failures(list(failed.values()))
    send_after_commit(event_occurred, [item.event for item in outcomes if item.itself], database())


def _save_failures(events: list[Event]) -> None:
    for event in events:
        event.next_due_at = timing.next_due(event, subscriptions.to(event.name))
    # No more than that: a handler may have moved its own event, which goes on as another row.
    ledger.update(events, ("deliveries", "failures", "next_due_at"))


def _calls(outcomes: list[Outcome]) -> list[tuple[Subscription, list[Event]]]:
    batches: dict[str, tuple[Subscription, list[Event]]] = {}
    for outcome in outcomes:
        for subscription in outcome.calls:
            batches.setdefault(subscription.key, (subscription, []))[1].append(outcome.event)
    return list(batches.values())
