"""The project: settings, the Celery app and what the pages of all apps share."""

from .celery import app as celery_app

__all__ = ["celery_app"]
