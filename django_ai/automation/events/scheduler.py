"""Lets due events occur, batch after batch, and isolates those whose handlers kill the process."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from time import monotonic

from django.db import InterfaceError, OperationalError

from .. import storable
from ..conf import settings
from . import batch, delivery, guard, ledger
from .models import Event, EventQuerySet, OpenBatch, database

logger = logging.getLogger(__name__)


def occur_due() -> int:
    """Do all that is due for events, batch after batch; return how many events were taken up.

    Any number of processes may do so at once: each event is taken up by one of them. Stops after
    `DJANGO_AI["SECONDS_PER_TASK"]` even if more is due; the next call goes on.
    """
    deadline = monotonic() + settings.SECONDS_PER_TASK
    guarded = guard.take_stock()
    total = _occur_suspects(guarded.suspects, deadline)
    while True:  # once at least, however short the time is
        numbers = list(due_events().exclude(pk__in=guarded.numbers).values_list("pk", flat=True)[: settings.BATCH_SIZE])
        taken = _occur_guarded(numbers) if numbers else 0
        total += taken
        if taken < settings.BATCH_SIZE or monotonic() > deadline:
            return total


def occur(numbers: Sequence[int]) -> int:
    """Do what is due for these events, by primary key; return how many were taken up."""
    try:
        return batch.occur(numbers)
    except Exception:
        logger.exception("A batch of due events was rolled back; each is tried alone.")
    return sum(_occur_alone(number) for number in numbers)


def due_events() -> EventQuerySet:
    """Return the query for due events, those that have waited longest first."""
    return Event.objects.using(database()).due().order_by("next_due_at")


def _occur_guarded(numbers: Sequence[int]) -> int:
    opened = guard.open_batch(numbers)
    try:
        return batch.occur(numbers, opened)
    except Exception:
        logger.exception("A batch of due events was rolled back; each is tried alone.")
    taken = sum(_occur_alone(number) for number in numbers)
    opened.delete()
    return taken


def _occur_suspects(suspects: Sequence[OpenBatch], deadline: float) -> int:
    """Try each event alone that was in a batch whose process died, so that a bad one kills only itself."""
    total = 0
    for suspect in suspects:
        if monotonic() > deadline:
            break
        if guard.may_try_again(suspect):
            total += sum(_occur_alone(number, suspect) for number in suspect.events)
    return total


def _occur_alone(number: int, opened: OpenBatch | None = None) -> int:
    try:
        return batch.occur([number], opened)
    except delivery.TransactionBroken as broken:
        logger.exception("Event #%s could not occur; the handler's failure is counted.", number)
        batch.record_failure(number, broken)
    except (OperationalError, InterfaceError):
        logger.exception("Event #%s could not occur now; the scheduler tries again.", number)
    except Exception as error:
        logger.exception("Event #%s cannot occur.", number)
        ledger.give_up(number, storable.text(f"{type(error).__name__}: {error}"))
    return 1
