"""Celery's way in; each task does what its function says."""

from __future__ import annotations

from collections.abc import Sequence

from celery import shared_task

from ..taking import DatabaseTask, TickTask
from . import announcing, reconciliation, scheduler


# Acknowledged early whatever the project's default is: should a handler kill the worker, the message
# must not come again, and kill the next one; the tick knows how to deal with it.
@shared_task(base=DatabaseTask, name=announcing.OCCUR, ignore_result=True, acks_late=False)
def occur(ids: Sequence[int]) -> None:
    """Make events occur that a transaction has just announced."""
    scheduler.occur(ids)


@shared_task(base=TickTask, name="django_ai.events.tick", ignore_result=True, acks_late=False)
def tick() -> None:
    """Do what is due for events: the safety net under lost messages, and what makes dates come true."""
    scheduler.occur_due()


@shared_task(base=DatabaseTask, name="django_ai.events.reconcile", ignore_result=True)
def reconcile() -> None:
    """Bring the events of rows in line that were written without signals."""
    reconciliation.reconcile()
