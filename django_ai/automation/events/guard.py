"""Remembers which events a process was at when it died, so that none kills one process after another.

A row is written before a batch and deleted inside the batch's own transaction. While that lasts the
row is locked; a row that is there and not locked was left behind by a process that died.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import connections, transaction
from django.db.models import QuerySet

from .. import clock
from ..conf import settings
from . import ledger
from .models import OpenBatch, database

# Between a row's insertion and its lock there are moments in which its process only seems dead.
PATIENCE = timedelta(seconds=1)


@dataclass(frozen=True)
class Stock:
    """What is being worked on, or was when a process died."""

    numbers: set[int] = field(default_factory=set)
    suspects: list[OpenBatch] = field(default_factory=list)


def open_batch(numbers: Sequence[int]) -> OpenBatch:
    """Record that this process is about to let these events occur."""
    return OpenBatch.objects.using(database()).create(events=list(numbers), started_at=clock.now())


def take_stock() -> Stock:
    """Return the events that no new batch should hold, and the suspects among them, each by itself.

    One query if no batch is open.
    """
    opened = OpenBatch.objects.using(database()).values_list("events", flat=True)
    numbers = {number for events in opened for number in events}
    if not numbers:
        return Stock()
    with transaction.atomic(using=database()):
        _separate([item for item in _abandoned() if len(item.events) > 1])
        suspects = [item for item in _abandoned() if len(item.events) == 1]
    return Stock(numbers, suspects)


def may_try_again(suspect: OpenBatch) -> bool:
    """Count one more attempt at a suspect, or give its event up after too many."""
    with transaction.atomic(using=database()):
        row = _lock(OpenBatch.objects.using(database()).filter(pk=suspect.pk)).first()
        if row is None:
            return False
        if row.attempts >= settings.EVENT_ATTEMPTS:
            ledger.give_up(row.events[0], f"The process died {row.attempts} times while handlers were called.")
            row.delete()
            return False
        row.attempts, row.started_at = row.attempts + 1, clock.now()
        row.save()
        return True


def _separate(batches: list[OpenBatch]) -> None:
    alone = [OpenBatch(events=[number], started_at=item.started_at) for item in batches for number in item.events]
    OpenBatch.objects.using(database()).bulk_create(alone)
    OpenBatch.objects.using(database()).filter(pk__in=[item.pk for item in batches]).delete()


def _abandoned() -> QuerySet[OpenBatch]:
    locks = connections[database()].features.has_select_for_update_skip_locked
    patience = PATIENCE if locks else timedelta(seconds=settings.LEASE_SECONDS)
    old = OpenBatch.objects.using(database()).filter(started_at__lte=clock.now() - patience)
    return _lock(old).order_by("attempts", "pk")


def _lock(rows: QuerySet[OpenBatch]) -> QuerySet[OpenBatch]:
    locks = connections[database()].features.has_select_for_update_skip_locked
    return rows.select_for_update(skip_locked=True) if locks else rows
