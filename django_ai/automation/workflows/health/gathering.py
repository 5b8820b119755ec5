"""Measures what health is judged by: a few small queries and one connection to the broker."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from celery import current_app
from django.db import Error
from django.db.models import QuerySet

from ... import broker, clock
from ...conf import settings
from ...events.models import Event
from ..machine.statuses import RUNNING
from ..models import Pulse, Signal, SignalState, Suspension, WorkflowRun
from ..runtime import dispatch, pulses, rows, scheduler
from ..runtime.stuck import unmoved, without_child
from .facts import EXAMPLES, MOST, Backlog, Facts, Part


def gather() -> Facts:
    """Return the facts of this moment. Never raises."""
    about = Facts(
        broker=broker.fault(),
        broker_address=broker.address(),
        project=project(),
        tick_queue=dispatch.default_queue(),
    )
    try:
        return replace(about, **_of_database())
    except Error as error:
        # A broken connection must not be the next one's trouble as well.
        rows.leave_broken_connection()
        return replace(about, database=f"{type(error).__name__}: {error}".splitlines()[0])


def project() -> str:
    """Return what Celery's command line calls the project."""
    return current_app.main or "project"


def _of_database() -> dict[str, Any]:
    now = clock.read(rows.alias())
    known = {pulse.name: Part(at=pulse.at, asked_at=pulse.asked_at, lag=pulse.lag) for pulse in _all(Pulse)}
    waiting = _all(WorkflowRun).filter(status=RUNNING, lease_until__isnull=True)
    undelivered = _all(Signal).filter(scheduler.deliverable(), dispatched_at__isnull=False, state=SignalState.PENDING)
    childless_runs = without_child()
    stuck_runs = sorted({*unmoved(rows.alias()), *childless_runs})
    # Where the project hides runs from some people, a reader of the report may have no access to them.
    examples = EXAMPLES if settings.RUNS_VISIBLE_TO is None else 0
    return {
        "now": now,
        "beat": known.get(pulses.BEAT, Part()),
        "tick": known.get(pulses.TICK, Part()),
        "queues": tuple((queue, known.get(pulses.QUEUE + queue, Part())) for queue in dispatch.queues()),
        "steps": _backlog(waiting.order_by("pk"), "updated_at"),
        "timers": _backlog(_all(Suspension).filter(due_at__lte=clock.now()).order_by("due_at"), "due_at"),
        "messages": _backlog(undelivered.order_by("dispatched_at"), "created_at"),
        "events": _backlog(_all(Event).due().order_by("next_due_at"), "next_due_at"),
        "stuck": Backlog(count=min(len(stuck_runs), MOST)),
        "stuck_runs": tuple(stuck_runs[:examples]),
        "without_child": tuple(childless_runs[:examples]),
    }


def _backlog(found: QuerySet[Any], moment: str) -> Backlog:
    # In the order of an index: sorting a large backlog would make it larger.
    moments = list(found.values_list(moment, flat=True)[:MOST])
    return Backlog(count=len(moments), since=min(moments, default=None))


def _all(model: Any) -> Any:
    return model.objects.using(rows.alias())
