"""Calls the subscribers of events that occur; what raises is undone, recorded and tried again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction

from .. import storable
from ..conf import settings
from . import consequences, timing
from .models import Event, database
from .subscriptions import Subscription

logger = logging.getLogger(__name__)

LONGEST_ERROR = 2_000

# In seconds.
LONGEST_RETRY_PAUSE = 30 * 86_400


class TransactionBroken(Exception):
    """A handler's error has ended the transaction of the whole batch, as a deadlock on MariaDB does."""

    def __init__(self, subscription: Subscription, error: str) -> None:
        super().__init__(error)
        self.subscription, self.error = subscription, error


def deliver(subscription: Subscription, events: Sequence[Event], now: datetime) -> list[Event]:
    """Call one subscriber with events that are due for it; return those that failed, marked but not saved.

    If a call with several events raises, each of them is tried alone, so that one bad event does
    not stop the others. Whatever a failed call wrote is rolled back.

    Args:
        subscription: whom to call.
        events: what is due for it.
        now: the present moment of the database.

    Raises:
        TransactionBroken: the caller's transaction cannot go on.
    """
    if subscription.batch and len(events) > 1 and _call(subscription, events) is None:
        return []
    errors = {event.pk: _call(subscription, [event]) for event in events}
    failed = [event for event in events if errors[event.pk] is not None]
    for event in failed:
        mark_failed(event, subscription, str(errors[event.pk]), now)
    return failed


def _call(subscription: Subscription, events: Sequence[Event]) -> str | None:
    try:
        with transaction.atomic(using=database()):
            subscription.handler(events)
    except Exception as error:  # the user's code may raise anything
        logger.exception("%s failed for %s", subscription.key, ", ".join(f"{event} ({event.pk})" for event in events))
        text = storable.text(f"{type(error).__name__}: {storable.text_of(error)}")
        text = consequences.redactor_of(*events)(text)[:LONGEST_ERROR]
        if transaction.get_connection(database()).needs_rollback:
            raise TransactionBroken(subscription, text) from error
        return text
    return None


def mark_failed(event: Event, subscription: Subscription, error: str, now: datetime) -> None:
    """Count a failed call, which is repeated after a pause unless it was the last. Saves nothing."""
    attempts = event.deliveries.get(subscription.key, {}).get("attempts", 0) + 1
    failure: timing.Delivery = {"state": timing.FAILED, "error": error, "attempts": attempts}
    if attempts < settings.EVENT_ATTEMPTS:
        pause = settings.EVENT_RETRY_SECONDS * 2 ** min(attempts - 1, 30)
        failure["retry_at"] = (now + timedelta(seconds=min(pause, LONGEST_RETRY_PAUSE))).isoformat()
    event.deliveries[subscription.key] = failure
