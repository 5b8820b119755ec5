"""Celery's way in; each task does what its function says and holds nothing but ids."""

from __future__ import annotations

from datetime import datetime
from time import monotonic
from typing import Any

from celery import shared_task

from ..taking import DatabaseTask, TickTask
from .runtime import dispatch, pulses, retention, scheduler, stopping, worker

# For this long one cleanup keeps a worker busy; the next one goes on.
CLEANUP_SECONDS = 60


@shared_task(base=DatabaseTask, name=dispatch.EXECUTE, ignore_result=True)
def execute(run_id: int, sequence: int, attempt: int) -> None:
    """Run a step."""
    worker.execute(run_id, sequence, attempt)


@shared_task(base=DatabaseTask, name=dispatch.WAKE, ignore_result=True)
def wake(run_id: int, sequence: int) -> None:
    """End a wait whose time has come."""
    worker.wake(run_id, sequence)


@shared_task(base=DatabaseTask, name=dispatch.DELIVER, ignore_result=True)
def deliver(run_id: int) -> None:
    """Hand a run what lies in its inbox."""
    worker.deliver(run_id)


@shared_task(base=DatabaseTask, name=dispatch.SEVERAL, ignore_result=True)
def several(task: str, queue: str | None, arguments: list[list[Any]]) -> None:
    """Do what several of these messages ask for."""
    worker.several(task, queue, arguments)


@shared_task(base=TickTask, name=dispatch.TICK, ignore_result=True)
def tick() -> None:
    """Do one pass of the scheduler."""
    scheduler.tick()
    pulses.after_tick()


@shared_task(base=DatabaseTask, name=dispatch.PULSE, ignore_result=True)
def pulse(queue: str, sent_at: str) -> None:
    """Answer that a worker takes messages from this queue."""
    pulses.answer(queue, datetime.fromisoformat(sent_at))


@shared_task(base=DatabaseTask, name="django_ai.workflows.cleanup", ignore_result=True)
def cleanup() -> None:
    """Delete what is no longer kept."""
    until = monotonic() + CLEANUP_SECONDS
    retention.cleanup(go_on=lambda: monotonic() < until and not stopping.announced())
