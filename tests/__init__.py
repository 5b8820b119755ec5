"""The suite, which is also a small Django project with a Celery application of its own."""

from tests.celery import app as celery_app

__all__ = ["celery_app"]
