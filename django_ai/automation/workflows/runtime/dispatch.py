"""The only place that sends messages to Celery, always after the commit and never fatally."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Any

from celery import current_app, signature
from django.db import transaction

from ...conf import settings
from ..models import WorkflowRun
from . import rows

logger = logging.getLogger(__name__)

EXECUTE = "django_ai.workflows.execute"
WAKE = "django_ai.workflows.wake"
DELIVER = "django_ai.workflows.deliver"

# After a broker has refused a message, none is tried for this long: the rows are the outbox, and
# whoever starts a thousand runs meanwhile must not wait a thousand times.
BREAKER_SECONDS = 5.0


def step(run: WorkflowRun) -> None:
    """Ask for a worker for the run's current step."""
    _after_commit(EXECUTE, (run.pk, run.sequence, run.attempt), queue_of(run))


def timer(run: WorkflowRun, delay: timedelta) -> None:
    """Ask to be woken, if that is soon; a later timer is the scheduler's alone."""
    seconds = max(delay.total_seconds(), 0)
    if seconds <= settings.NEAR_TIMER_SECONDS:
        _after_commit(WAKE, (run.pk, run.sequence), queue_of(run), countdown=seconds)


def delivery(run_id: int, queue: str | None = None) -> None:
    """Ask a worker to hand the run what lies in its inbox."""
    _after_commit(DELIVER, (run_id,), queue or settings.QUEUE)


def queue_of(run: WorkflowRun) -> str | None:
    """Return the queue of the run's current step: its own, the workflow's, the project's."""
    definition = rows.definition_of(run)
    if definition is None:
        return settings.QUEUE
    at = definition.steps.get(run.current_step)
    return (at and at.queue) or definition.queue or settings.QUEUE


def _after_commit(task: str, args: tuple[Any, ...], queue: str | None, **options: Any) -> None:
    send = partial(_publish, task, args, queue=queue, **options)
    transaction.on_commit(send, using=rows.alias(), robust=True)


def _publish(task: str, args: tuple[Any, ...], **options: Any) -> None:
    try:
        publisher(task, args, **options)
    except Exception as error:  # noqa: BLE001 - whatever a broker raises: the scheduler sends it again
        logger.warning("Could not send %s%s, the scheduler will: %r", task, args, error)


class CeleryPublisher:
    """Publishes with bounded time, and not at all for a while after the broker failed."""

    def __init__(self) -> None:
        self._closed_until = 0.0

    def __call__(self, task: str, args: tuple[Any, ...], **options: Any) -> None:
        if monotonic() < self._closed_until:
            raise ConnectionError("the broker refused a message a moment ago")
        try:
            signature(task).apply_async(args, ignore_result=True, retry=False, **options)
        except Exception:
            self._closed_until = monotonic() + BREAKER_SECONDS
            raise


publisher: Callable[..., None] = CeleryPublisher()


def celery_is_configured() -> bool:
    """Say whether this process has imported a Celery app that knows its broker."""
    return current_app.main != "default" or current_app.conf.broker_url is not None
