"""The commit of a Transition: the only place where a run's workflow state changes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
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
from ..machine.statuses import COMPLETED, FINAL, RUNNING
from ..models import Signal, SignalKind, Suspension, WorkflowRun
from . import dispatch, history, inbox, notices, rows, vendors, waits
from .contexts import make_context
from .writes import Writes

ACTIVE_CHILD_FIELD = "active_subworkflow_run_id"

# Rows of one INSERT.
BATCH = 1000

# What a run waits for may have come before it waits; it is looked for when the wait is there.
LOOKS_BACK = {WaitKind.SIGNAL, WaitKind.EVENT}

# Columns that heartbeats and the scheduler write too, so a run in memory may be out of date in them.
SHARED = {"lease_until", "dispatched_at", "updated_at"}


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
        WorkflowRun.objects.using(database).bulk_create(runs, batch_size=BATCH)
        waiting = [
            _wait(run, transition, now, led_from=now, visit={})
            for run, (transition, *_) in zip(runs, begun, strict=True)
        ]
        Suspension.objects.using(database).bulk_create(filter(None, waiting), batch_size=BATCH)
        for run, wait in zip(runs, waiting, strict=True):
            if wait is not None:
                _look_back(run, wait)
            _announce(run, wait, now)
        notices.started(runs, [transition for transition, *_ in begun], now)
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
    if not vendors.way().write(Writes(run=run, fence=_fence(run), columns=columns), ends=False):
        raise StaleClaim
    _move_in_memory(run, columns)
    return changes


def commit(
    run: WorkflowRun,
    transition: Transition,
    now: datetime,
    *,
    message: Signal | None = None,
    claim: bool = False,
    ends: bool = False,
) -> None:
    """Move ``run`` in the caller's transaction; what it needs next is sent when that commits.

    Args:
        run: the row as it was read; moved along with the database.
        now: the database's time.
        message: the message of the run's inbox that makes the move, which is marked as delivered.
        claim: keep the lease: the caller itself runs the next step, and no message is sent.
        ends: the transaction, which the caller opened, ends with this.

    Raises:
        StaleClaim: the run is no longer where ``run`` says; nothing was changed.
        ContextInvalid, ContextTooLarge: what the step left behind cannot be stored.
    """
    columns = {**_columns(transition, now, claim=claim), **_context_columns(run, transition)}
    left = history.Left.behind(run, columns)
    changed = {name: value for name, value in columns.items() if name in SHARED or getattr(run, name) != value}
    fence = _fence(run)
    _move_in_memory(run, changed)
    wait = _wait(run, transition, now, led_from=left.visit_started_at or now, visit=left.visit(transition))
    letters = _letters(run, transition, now)
    writes = Writes(
        run=run,
        fence=fence,
        columns=changed,
        ends_wait=left.wait is not None,
        rows=[*history.rows_of(run, left, transition, message, now), *filter(None, [wait]), *letters],
        message=message,
        marks=inbox.marks_of(left.sequence, left.changes),
    )
    looks_back = wait is not None and wait.kind in LOOKS_BACK
    if not vendors.way().write(writes, ends=ends and not looks_back):
        raise StaleClaim
    for letter in letters:
        dispatch.delivery(letter.run_id)
    if wait is not None:
        _look_back(run, wait)
    if not claim:
        _announce(run, wait, now)
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
        "lease_until": now + rows.lease() if claim else None,
        "dispatched_at": now if wants_worker else None,
        "updated_at": now,
        "finished_at": now if transition.status in FINAL else None,
    }
    if not transition.attempt:
        columns["visit_started_at"] = now if claim else None
    if transition.status is COMPLETED:
        columns["completion_display"] = dict(transition.completion_display)
    return columns


def _fence(run: WorkflowRun) -> dict[str, Any]:
    return {"status": run.status, "sequence": run.sequence, "attempt": run.attempt}


def _context_columns(run: WorkflowRun, transition: Transition) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if transition.context is not None:
        columns["data"] = _data(transition.context)
    if transition.child:
        columns[ACTIVE_CHILD_FIELD] = _start_child(run, transition.child).pk
        if ACTIVE_CHILD_FIELD in columns.get("data", {}):
            columns["data"][ACTIVE_CHILD_FIELD] = columns[ACTIVE_CHILD_FIELD]
    return columns


def _move_in_memory(run: WorkflowRun, columns: Mapping[str, Any]) -> None:
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


def _wait(
    run: WorkflowRun, transition: Transition, now: datetime, led_from: datetime, visit: Mapping[str, Any]
) -> Suspension | None:
    wait = transition.suspension
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
        display=dict(wait.display),
        visit=dict(visit),
        created_at=wait.created_at or now,
    )


def _look_back(run: WorkflowRun, wait: Suspension) -> None:
    if wait.kind == WaitKind.EVENT:
        waits.look_back(run, wait)
    # The row is locked by now, so a signal that is not seen here comes, with its delivery, after us.
    elif wait.kind == WaitKind.SIGNAL and inbox.holds(run, wait.name):
        dispatch.delivery(run.pk)


def _letters(run: WorkflowRun, transition: Transition, now: datetime) -> list[Signal]:
    """Return what the run's move tells its child and its parent."""
    letters = []
    if transition.gives_up_child and run.active_subworkflow_run_id:
        reason = {"reason": _orphaned(run)}
        letters.append(inbox.letter(run.active_subworkflow_run_id, SignalKind.CANCEL, now, payload=reason))
    if transition.status in FINAL and run.parent_run_id:
        result = _result(run)
        letters.append(inbox.letter(run.parent_run_id, SignalKind.CHILD, now, name=str(run.pk), payload=result))
    return letters


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


def _announce(run: WorkflowRun, wait: Suspension | None, now: datetime) -> None:
    if run.status == RUNNING:
        dispatch.step(run)
    elif wait is not None and wait.due_at:
        dispatch.timer(run, wait.due_at - now)
