"""The periodic entry of the scheduler, added to Celery's beat unless the project has its own."""

from __future__ import annotations

from celery import current_app

from ..conf import settings

ENTRY = "django_ai.workflows.tick"


def install() -> None:
    """Add the scheduler's tick to the schedule of the current Celery app."""
    current_app.conf.beat_schedule.setdefault(
        ENTRY,
        {
            "task": "django_ai.workflows.tick",
            "schedule": settings.TICK_SECONDS,
            # A tick that waited this long has been overtaken by the next ones.
            "options": {"queue": settings.QUEUE, "expires": max(10 * settings.TICK_SECONDS, 10)},
        },
    )
