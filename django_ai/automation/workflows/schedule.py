"""The periodic entries of the scheduler and the cleanup, added to Celery's beat unless the project has its own."""

from __future__ import annotations

from celery import current_app

from ..conf import settings
from ..taking import EXPIRES_SECONDS

ENTRY = "django_ai.workflows.tick"
CLEANUP = "django_ai.workflows.cleanup"
CLEANUP_SECONDS = 3600


def install() -> None:
    """Add the entries to the schedule of the current Celery app."""
    _install(ENTRY, settings.TICK_SECONDS)
    _install(CLEANUP, CLEANUP_SECONDS)


def _install(task: str, seconds: float) -> None:
    options = {"queue": settings.QUEUE, "expires": EXPIRES_SECONDS}
    entry = {"task": task, "schedule": seconds, "options": options}
    current_app.conf.beat_schedule.setdefault(task, entry)
