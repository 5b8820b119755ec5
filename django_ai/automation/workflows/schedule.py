"""The periodic entries of the scheduler and the cleanup, added to Celery's beat unless the project has its own."""

from __future__ import annotations

from celery import current_app

from ..conf import settings

ENTRY = "django_ai.workflows.tick"
CLEANUP = "django_ai.workflows.cleanup"
CLEANUP_SECONDS = 3600


def install() -> None:
    """Add the entries to the schedule of the current Celery app."""
    # A tick that waited this long has been overtaken by the next ones.
    _install(ENTRY, settings.TICK_SECONDS, expires=max(10 * settings.TICK_SECONDS, 10))
    _install(CLEANUP, CLEANUP_SECONDS, expires=CLEANUP_SECONDS)


def _install(task: str, seconds: float, expires: float) -> None:
    entry = {"task": task, "schedule": seconds, "options": {"queue": settings.QUEUE, "expires": expires}}
    current_app.conf.beat_schedule.setdefault(task, entry)
