"""What commands say of a run, as texts and as JSON."""

from __future__ import annotations

from datetime import datetime
from inspect import formatannotation
from typing import Any

from ..machine.commands import CLOCKS, WaitKind
from ..machine.payloads import fields_of
from ..machine.statuses import FAILED, FAILURE_LABELS, FailureKind
from ..masking import Mask, context_class_of
from ..models import Suspension, WorkflowRun
from ..runtime import signalling
from .console import age


def as_data(run: WorkflowRun) -> dict[str, Any]:
    """Return a run without its context, JSON-ready."""
    return {
        "id": run.pk,
        "workflow": run.name,
        "version": run.version,
        "status": run.status,
        "step": run.current_step,
        "attempt": run.attempt,
        "progress": run.progress,
        "waits_for": _wait(run.waits_for),
        "error": error_of(run),
        "failure_kind": run.failure_kind,
        "retryable": run.retryable,
        "idempotency_key": run.idempotency_key,
        "owner": run.owner_id,
        "parent": run.parent_run_id,
        "created_at": run.created_at,
        "updated_at": run.updated_at,
        "finished_at": run.finished_at,
    }


def status_of(run: WorkflowRun) -> str:
    """Return where a run stands, and how it failed if that was not an exception."""
    kind = run.failure_kind
    if run.status != FAILED or not kind or kind == FailureKind.EXCEPTION:
        return str(run.status)
    return f"{run.status}, {FAILURE_LABELS.get(kind, kind)}"


def error_of(run: WorkflowRun) -> str:
    """Return a run's error, cleared of the secrets of its context."""
    return Mask.of(run).text(run.error) if run.error else ""


def _wait(wait: Suspension | None) -> dict[str, Any] | None:
    if wait is None:
        return None
    return {
        "kind": wait.kind,
        "name": wait.name,
        "correlation": wait.correlation,
        "since": wait.created_at,
        "due_at": wait.due_at,
    }


def awaited(run: WorkflowRun) -> str:
    """Say in a few words what a run waits for; an empty text where it does not."""
    wait = run.waits_for
    if wait is None:
        return ""
    key = f" ({wait.correlation})" if wait.correlation is not None else ""
    return _NAMES.get(wait.kind, f"{wait.kind} {wait.name}".strip()) + key


_NAMES: dict[str, str] = {WaitKind.TIMER: "sleep", WaitKind.RETRY: "next attempt"}


def takes(run: WorkflowRun) -> str:
    """Return the fields that the run's wait takes, with their types; an empty text where it names none."""
    context_class = context_class_of(run.name, run.version)
    accepts = signalling.accepts_of(run, run.waiting_signal)
    if accepts is None or accepts.keys is None or context_class is None:
        return ""
    return ", ".join(
        f"{key} ({formatannotation(field.annotation)}{'' if name in accepts.required else ', optional'})"
        for key, (name, field) in fields_of(accepts, context_class).items()
    )


def waits_for(run: WorkflowRun, now: datetime) -> str:
    """Say what a run waits for, and until when."""
    wait, what = run.waits_for, awaited(run)
    if wait is None or wait.due_at is None:
        return what
    if wait.due_at < now:
        return f"{what}, overdue {age(now - wait.due_at)}"
    return f"{what}, {'' if wait.kind in CLOCKS else 'at most '}{age(wait.due_at - now)}"
