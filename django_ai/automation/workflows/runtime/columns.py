"""A transition as the columns of rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from ... import storable
from ...conf import settings
from ..exceptions import ContextTooLarge, kept
from ..machine import storing
from ..machine.commands import WaitKind
from ..machine.state import Suspension as Wait
from ..machine.state import Transition
from ..machine.statuses import FINAL, RUNNING
from ..models import Suspension, WorkflowRun
from . import rows, waits


def of_run(transition: Transition, now: datetime, *, claim: bool) -> dict[str, Any]:
    """Return the columns of a run that a transition takes somewhere, its context left out.

    Args:
        now: the database's time.
        claim: with a lease for the caller, who runs the next step.
    """
    columns: dict[str, Any] = {
        "status": transition.status,
        "current_step": transition.step,
        "sequence": transition.sequence,
        "attempt": transition.attempt + (1 if claim else 0),
        "progress": transition.progress,
        "inputs": dict(transition.inputs),
        "failures": [rows.failure_data(failure) for failure in transition.failures],
        "error": kept(transition.error),
        "failure_kind": transition.failure_kind,
        "retryable": transition.retryable,
        "completion_display": storable.texts(transition.completion_display),
        "lease_until": now + rows.lease() if claim else None,
        "updated_at": now,
        "finished_at": now if transition.status in FINAL else None,
    }
    if not claim:  # which sends no message
        columns["dispatched_at"] = now if transition.status is RUNNING else None
    if not transition.attempt:
        columns["visit_started_at"] = now if claim else None
    return columns


def data_of(context: BaseModel) -> dict[str, Any]:
    """Return a context as it is stored. Raises ContextInvalid or ContextTooLarge."""
    data, size = storing.store(context)
    if size > settings.MAX_CONTEXT_BYTES:
        raise ContextTooLarge(
            f"The context has {size:,} bytes, more than the {settings.MAX_CONTEXT_BYTES:,} that"
            " DJANGO_AI['MAX_CONTEXT_BYTES'] allows: store large data in a model and keep its id."
        )
    return data


def of_wait(
    run: WorkflowRun, wait: Wait | None, now: datetime, *, led_from: datetime, visit: Mapping[str, Any]
) -> Suspension | None:
    """Return the row of the wait that begins, if one does.

    Args:
        led_from: when the step's visit began that led here: what occurred since then counts.
        visit: that visit, as the history keeps it.
    """
    if wait is None:
        return None
    return Suspension(
        run=run,
        kind=wait.kind,
        name=wait.name,
        correlation=wait.correlation,
        due_at=wait.due_at,
        # What occurred while the step that led here was running is not lost.
        since=(wait.since or led_from - waits.OVERLAP) if wait.kind is WaitKind.EVENT else None,
        then=wait.then,
        on_timeout=wait.on_timeout,
        resumes_body=wait.resumes_body,
        # The step that made the wait may run in another process than those that send it a signal.
        accepts=wait.accepts.stored(run.sequence) if wait.accepts else None,
        display=storable.texts(wait.display),
        visit=dict(visit),
        created_at=wait.created_at or now,
    )
