"""Tells the workers, after the commit, that something is due; the scheduler finds what they miss."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from django.db import transaction

from .. import broker
from ..conf import settings
from .models import Event

OCCUR = "django_ai.events.occur"

# A transaction that rolls back leaves its numbers here; they are harmless, but must not pile up.
MOST_UNSENT = 10_000

_thread = threading.local()


def announce(events: Iterable[Event], using: str) -> None:
    """Have these events looked at by a worker as soon as the present transaction commits.

    All that one transaction announces goes out together: the first hook to run takes everything.
    """
    numbers = [event.pk for event in events if event.pk]
    if numbers:
        unsent = _unsent(using)
        unsent.extend(numbers)
        del unsent[:-MOST_UNSENT]
        transaction.on_commit(lambda: _send(using), using=using, robust=True)


def _send(using: str) -> None:
    unsent = _unsent(using)
    numbers, unsent[:] = unsent[:], []
    size = settings.BATCH_SIZE
    for start in range(0, len(numbers), size):
        broker.publish(OCCUR, (numbers[start : start + size],), queue=settings.QUEUE)


def _unsent(using: str) -> list[int]:
    by_database: dict[str, list[int]] = _thread.__dict__.setdefault("unsent", {})
    return by_database.setdefault(using, [])
