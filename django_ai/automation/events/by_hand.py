"""What a person may do about events: give them up, or have failures repeated."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction

from .. import clock
from . import ledger, registry, timing
from .models import Event, EventQuerySet, database
from .statuses import EventStatus
from .subscriptions import subscriptions
from .verdicts import Faulty, Wanted, verdict


def cancel(events: EventQuerySet, note: str = "Cancelled by hand.") -> int:
    """Give up what is still to come of these events; return of how many anything was.

    They stay cancelled until their date changes, whatever their entities say.
    """
    return _change(events.filter(next_due_at__isnull=False) | events.failed(), lambda event: _cancel(event, note))


def retry(events: EventQuerySet) -> int:
    """Evaluate these events anew if they failed, and call handlers again that failed; return how many.

    Failures are repeated at once, with all their attempts before them.
    """
    return _change(events.failed(), _retry)


def _change(events: EventQuerySet, change: Callable[[Event], object]) -> int:
    with transaction.atomic(using=database()):
        rows = list(ledger.lockable(events))
        for row in rows:
            change(row)
        ledger.update(rows)
    return len(rows)


def _cancel(event: Event, note: str) -> None:
    ledger.cancel(event, note)
    event.by_hand = event.status == EventStatus.CANCELLED


def _retry(event: Event) -> None:
    if event.status == EventStatus.FAILED:
        _evaluate(event)
        return
    now = clock.read(database()).isoformat()
    for delivery in event.deliveries.values():
        if delivery["state"] == timing.FAILED:
            delivery.update(attempts=0, retry_at=now)
    event.next_due_at = timing.next_due(event, subscriptions.to(event.name))


def _evaluate(event: Event) -> None:
    definition, entity = registry.definition(event.entity_type, event.name), event.entity
    if definition is None or entity is None:
        ledger.move(event, Wanted(None, event.correlation))
        return
    match verdict(definition, entity):
        case Wanted() as said:
            ledger.move(event, said)
        case Faulty(text):
            ledger.fail(event, text)
        case None:
            ledger.cancel(event, f"{event.entity_type} #{event.entity_id} no longer matches.")
