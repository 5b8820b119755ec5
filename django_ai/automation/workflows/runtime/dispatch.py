"""The only place that sends a run's messages: a step, a timer, a delivery."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from celery import current_app

from ...broker import publish, send_after_commit
from ...conf import settings
from ..authoring.registry import registry
from ..models import WorkflowRun
from . import rows

TICK = "django_ai.workflows.tick"
EXECUTE = "django_ai.workflows.execute"
WAKE = "django_ai.workflows.wake"
DELIVER = "django_ai.workflows.deliver"
PULSE = "django_ai.workflows.pulse"

# A tick that waited this long has been overtaken by others.
TICK_EXPIRES_SECONDS = 10


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


def tick() -> None:
    """Ask for a pass of the scheduler, at once; beat asks for the others."""
    publish(TICK, queue=settings.QUEUE, expires=TICK_EXPIRES_SECONDS)


def question(queue: str, moment: datetime, expires: float) -> None:
    """Ask the workers of a queue for a sign of life; a question nobody took in ``expires`` seconds is dropped."""
    _after_commit(PULSE, (queue, moment.isoformat()), queue, expires=expires)


def queues() -> list[str]:
    """Return the names of all queues that carry messages of runs."""
    named = {settings.QUEUE, *(definition.queue for definition in registry)}
    named |= {step.queue for definition in registry for step in definition.steps.values()}
    return sorted({name or default_queue() for name in named})


def default_queue() -> str:
    """Return the name of the queue of those messages that name none."""
    return settings.QUEUE or str(current_app.conf.task_default_queue)


def queue_of(run: WorkflowRun) -> str | None:
    """Return the queue of the run's current step: its own, the workflow's, the project's."""
    definition = rows.definition_of(run)
    if definition is None:
        return settings.QUEUE
    at = definition.find(run.current_step)
    return (at and at.queue) or definition.queue or settings.QUEUE


def _after_commit(task: str, args: tuple[Any, ...], queue: str | None, **options: Any) -> None:
    send_after_commit(task, args, using=rows.alias(), queue=queue, **options)
