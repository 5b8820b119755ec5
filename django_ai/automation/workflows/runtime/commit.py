"""The commit of a Transition: the only place where a run's workflow state changes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from pydantic import BaseModel

from ... import clock
from ...conf import settings
from ..authoring.registry import registry
from ..exceptions import ContextTooLarge, StaleClaim
from ..machine import context as contexts
from ..machine.changes import Changes, between
from ..machine.commands import WaitKind
from ..machine.decide import begin
from ..machine.definition import WorkflowDefinition
from ..machine.state import ChildStart, Transition
from ..machine.state import Suspension as Wait
from ..machine.statuses import COMPLETED, FINAL, RUNNING
from ..models import Signal, SignalKind, Suspension, WorkflowRun
from . import dispatch, history, inbox, notices, rows, waits
from .contexts import make_context

ACTIVE_CHILD_FIELD = "active_subworkflow_run_id"


def create(definition: WorkflowDefinition, context: BaseModel, **columns: Any) -> WorkflowRun:
    """Insert a run at its first step, in the caller's transaction; the message goes out when it commits."""
    return create_many(definition, [(context, columns)])[0]


def create_many(
    definition: WorkflowDefinition, starts: Iterable[tuple[BaseModel, Mapping[str, Any]]]
) -> list[WorkflowRun]:
    """Insert a run for each context with its further columns, in a few statements for all."""
    return _create(definition, starts)


def _create(
    definition: WorkflowDefinition, starts: Iterable[tuple[BaseModel, Mapping[str, Any]]], **where: Any
) -> list[WorkflowRun]:
    database = rows.alias()
    now = clock.read(database)
    begun = [(begin(definition, context, now, **where), context, columns) for context, columns in starts]
    trace_context = notices.trace_context(definition)
    runs = [
        WorkflowRun(
            name=definition.name,
            version=definition.version,
            data=_data(context),
            trace_context=trace_context,
            **_columns(transition, now, claim=False),
            **columns,
        )
        for transition, context, columns in begun
    ]
    with rows.transaction_of_runs():
        WorkflowRun.objects.using(database).bulk_create(runs, batch_size=1000)
        for run, (transition, _, _) in zip(runs, begun, strict=True):
            _suspend(run, transition, now, led_from=now, visit={})
            _announce(run, transition, now)
        notices.started(runs, [transition for transition, _, _ in begun], now)
    return runs


def create_at(
    definition: WorkflowDefinition, step: str, context: BaseModel, inputs: Mapping[str, Any], **columns: Any
) -> WorkflowRun:
    """Insert a run that begins at another step than the first, with that step's arguments."""
    return _create(definition, [(context, columns)], step=step, inputs=inputs)[0]


def rewrite(run: WorkflowRun, context: BaseModel, now: datetime) -> Changes:
    """Replace the context of a locked run that no worker has; the run does not move. Return what changed.

    Raises:
        ContextInvalid, ContextTooLarge: the context cannot be stored.
    """
    data = _data(context)
    changes = between(run.data, data, settings.MAX_CHANGE_BYTES)
    columns: dict[str, Any] = {"data": data, "updated_at": now}
    if run.lease_until is not None:
        # Whoever posted a form and was thought dead must not bring the old context back.
        columns |= {"attempt": run.attempt + 1, "lease_until": None}
    _move(run, columns)
    return changes


def commit(
    run: WorkflowRun, transition: Transition, now: datetime, *, message: Signal | None = None, claim: bool = False
) -> None:
    """Move ``run`` in the caller's transaction; what it needs next is sent when that commits.

    Args:
        run: the row as it was read; moved along with the database.
        now: the database's time.
        message: the message of the run's inbox that makes the move, which is marked as delivered.
        claim: keep the lease: the caller itself runs the next step, and no message is sent.

    Raises:
        StaleClaim: the run is no longer where ``run`` says; nothing was changed.
        ContextInvalid, ContextTooLarge: what the step left behind cannot be stored.
    """
    columns = _columns(transition, now, claim=claim)
    if transition.context is not None:
        columns["data"] = _data(transition.context)
    if transition.child:
        child = _start_child(run, transition.child)
        columns[ACTIVE_CHILD_FIELD] = child.pk
        if ACTIVE_CHILD_FIELD in columns.get("data", {}):
            columns["data"][ACTIVE_CHILD_FIELD] = child.pk
    left = history.Left.behind(run, columns)
    if not left.changes:
        columns.pop("data", None)  # an unchanged context is not written again
    _move(run, columns)
    if left.wait:
        Suspension.objects.using(run._state.db).filter(pk=run.pk).delete()
        history.record_wait(run, left, transition, message, now)
    if message:
        inbox.accept(message, left.sequence, left.changes)
    history.record_step(run, left, transition, now)
    _suspend(run, transition, now, led_from=left.visit_started_at or now, visit=left.visit(transition))
    _tell_family(run, transition)
    if not claim:
        _announce(run, transition, now)
    notices.moved(left, run, transition, now)


def _columns(transition: Transition, now: datetime, *, claim: bool) -> dict[str, Any]:
    wants_worker = transition.status is RUNNING
    columns: dict[str, Any] = {
        "status": transition.status,
        "current_step": transition.step,
        "sequence": transition.sequence,
        "attempt": transition.attempt + (1 if claim else 0),
        "progress": transition.progress,
        "inputs": dict(transition.inputs),
        "failures": [rows.failure_data(failure) for failure in transition.failures],
        "error": transition.error,
        "lease_until": now + lease() if claim else None,
        "dispatched_at": now if wants_worker else None,
        "updated_at": now,
        "finished_at": now if transition.status in FINAL else None,
    }
    if not transition.attempt:
        columns["visit_started_at"] = now if claim else None
    if transition.status is COMPLETED:
        columns["completion_display"] = dict(transition.completion_display)
    return columns


def lease() -> timedelta:
    """Return for how long a claim holds without a heartbeat."""
    return timedelta(seconds=settings.LEASE_SECONDS)


def _move(run: WorkflowRun, columns: Mapping[str, Any]) -> None:
    fence = {"status": run.status, "sequence": run.sequence, "attempt": run.attempt}
    moved = WorkflowRun.objects.using(run._state.db).filter(pk=run.pk, **fence).update(**columns)
    if not moved:
        raise StaleClaim
    for name, value in columns.items():
        setattr(run, name, value)
    run._state.fields_cache.pop("suspension", None)


def _data(context: BaseModel) -> dict[str, Any]:
    data = contexts.dump(context)
    _check_size(data)
    return data


def _check_size(data: Mapping[str, Any]) -> None:
    size = len(json.dumps(data, cls=DjangoJSONEncoder).encode())
    if size > settings.MAX_CONTEXT_BYTES:
        raise ContextTooLarge(
            f"The context has {size:,} bytes, more than the {settings.MAX_CONTEXT_BYTES:,} that"
            " DJANGO_AI['MAX_CONTEXT_BYTES'] allows: store large data in a model and keep its id."
        )


def _start_child(parent: WorkflowRun, child: ChildStart) -> WorkflowRun:
    definition = registry.find(child.workflow, child.version)
    context = make_context(definition, child.context)
    return create(definition, context, parent_run=parent, owner_id=parent.owner_id)


def _suspend(
    run: WorkflowRun, transition: Transition, now: datetime, led_from: datetime, visit: Mapping[str, Any]
) -> None:
    wait = transition.suspension
    if wait is None:
        return
    for_event = wait.kind is WaitKind.EVENT
    row = Suspension.objects.using(run._state.db).create(
        run=run,
        kind=wait.kind,
        name=wait.name,
        correlation=wait.correlation,
        due_at=wait.due_at,
        # What occurred while the step that led here was running is not lost.
        since=(wait.since or led_from - waits.OVERLAP) if for_event else None,
        then=wait.then,
        on_timeout=wait.on_timeout,
        resumes_body=wait.resumes_body,
        display=dict(wait.display),
        visit=dict(visit),
        created_at=wait.created_at or now,
    )
    if for_event:
        waits.look_back(run, row)


def _tell_family(run: WorkflowRun, transition: Transition) -> None:
    if transition.gives_up_child and run.active_subworkflow_run_id:
        inbox.post(run.active_subworkflow_run_id, SignalKind.CANCEL, payload={"reason": _orphaned(run)})
    if transition.status in FINAL and run.parent_run_id:
        inbox.post(run.parent_run_id, SignalKind.CHILD, name=str(run.pk), payload=_result(run))


def _orphaned(run: WorkflowRun) -> str:
    return f"The parent run #{run.pk} ({run.name}) no longer waits for this run."


def _result(run: WorkflowRun) -> dict[str, Any]:
    succeeded = run.status == COMPLETED
    return {
        "run_id": run.pk,
        "workflow": run.name,
        "version": run.version,
        "status": "completed" if succeeded else "failed",
        "error": None if succeeded else run.error or f"The run was {run.status}.",
        "data": run.data,
    }


def _announce(run: WorkflowRun, transition: Transition, now: datetime) -> None:
    if transition.status is RUNNING:
        dispatch.step(run)
    elif transition.suspension:
        _announce_wait(run, transition.suspension, now)


def _announce_wait(run: WorkflowRun, wait: Wait, now: datetime) -> None:
    if wait.due_at:
        dispatch.timer(run, wait.due_at - now)
    # A signal may be there before the run waits for it. The row is locked by now, so one that is not
    # seen here comes, with its delivery, after us.
    if wait.kind is WaitKind.SIGNAL and inbox.holds(run, wait.name):
        dispatch.delivery(run.pk)
