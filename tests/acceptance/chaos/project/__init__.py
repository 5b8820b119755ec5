"""The project that chaos is let loose on; its Celery app is loaded with it."""

from tests.acceptance.chaos.project.celery import app as celery_app

__all__ = ["celery_app"]
