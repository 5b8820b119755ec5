"""The periodic entries of events, added to Celery's beat unless the project has its own."""

from __future__ import annotations

from celery import current_app

from ..conf import settings
from ..taking import EXPIRES_SECONDS

TICK = "django_ai.events.tick"
RECONCILE = "django_ai.events.reconcile"


def install() -> None:
    """Add the tick and the reconciliation to the schedule of the current Celery app."""
    _add(TICK, settings.TICK_SECONDS)
    if settings.EVENT_RECONCILE_SECONDS:
        _add(RECONCILE, settings.EVENT_RECONCILE_SECONDS)


def _add(task: str, seconds: float) -> None:
    options = {"queue": settings.QUEUE, "expires": EXPIRES_SECONDS}
    current_app.conf.beat_schedule.setdefault(task, {"task": task, "schedule": seconds, "options": options})
