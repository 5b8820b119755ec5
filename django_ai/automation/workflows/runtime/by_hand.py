"""What a person does to one run: mend its context, end its rest, begin it anew from an earlier step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from ... import storable
from ...conf import settings
from ..exceptions import ContextInvalid, IllegalMove
from ..machine import context as contexts
from ..machine.changes import undo
from ..machine.commands import CLOCKS, WaitKind
from ..machine.decide import against_retry as decide_against_retry
from ..machine.decide import decide
from ..machine.definition import WorkflowDefinition
from ..machine.happenings import Due, Retried
from ..machine.state import RunState
from ..machine.statuses import FAILED, SUSPENDED, FailureKind
from ..models import Restart, RunTag, Signal, SignalKind, SignalState, StepExecution, WorkflowRun
from . import commit, creating, history, inbox, past, rows


def edit(run_id: int, fields: Mapping[str, Any]) -> WorkflowRun:
    """Replace fields of a run's context; the run stays where it is, its history says what was changed.

    Raises:
        IllegalMove: a worker has the run or wants it, or it has completed or was cancelled.
        ContextInvalid: the fields do not fit the Context, or are too large.
    """
    with rows.transaction_of_runs():
        run, watch = rows.lock_existing(run_id)
        _check_at_rest(run, watch.now())
        definition = _definition(run)
        known = contexts.known_fields(definition.context_class, fields)
        context = contexts.edited(definition.context_class, run.data, fields)
        changes = commit.rewrite(run, context, watch.now())
        Signal.objects.using(rows.alias()).create(
            run=run,
            kind=SignalKind.EDIT,
            payload=storable.data(known),
            sequence=run.sequence,
            state=SignalState.DELIVERED,
            changes=changes,
            created_at=watch.now(),
        )
    return run


def _check_at_rest(run: WorkflowRun, now: datetime) -> None:
    if run.status not in (SUSPENDED, FAILED):
        raise IllegalMove(f"{run} is {run.status}: its context can be edited while it waits, or when it has failed.")
    if run.lease_until is not None and run.lease_until > now:
        raise IllegalMove(f"Somebody's post of a form of {run} is being done right now: try again in a moment.")


def retry(run_id: int, *, force: bool = False) -> WorkflowRun:
    """Run the failed step of a failed run again; a parent that waits for the run goes on waiting.

    Args:
        force: repeat also what the workflow decided, and a child whose parent no longer waits for it.

    Raises:
        IllegalMove: the run has not failed, or may be repeated by force alone.
    """
    with rows.transaction_of_runs():
        run, watch = rows.lock_existing(run_id)
        is_awaited = run.status != FAILED or _hold_parent(run, watch.now())
        definition, state = _failed_state(run)
        transition = decide(definition, state, Retried(force=force, is_awaited=is_awaited), watch.now())
        inbox.restore(run, watch.now())
        commit.commit(run, transition, watch.now())
    return run


def against_retry(run: WorkflowRun) -> str:
    """Return why a run that has failed is not retried without force, or an empty text; as it was read, unlocked."""
    _, state = _failed_state(run)
    is_awaited = _waits_for(_parent_of(run), run) if run.parent_run_id else not run.parent_deleted
    return decide_against_retry(state, Retried(is_awaited=is_awaited))


def _parent_of(run: WorkflowRun) -> WorkflowRun | None:
    runs = WorkflowRun.objects.using(rows.alias()).select_related("suspension")
    return runs.filter(pk=run.parent_run_id or 0).first()


def _failed_state(run: WorkflowRun) -> tuple[WorkflowDefinition | None, RunState]:
    definition = rows.definition_of(run)
    missed = history.missed_wait(run) if run.failure_kind == FailureKind.TIMEOUT else None
    state = rows.snapshot(run, definition)
    return definition, replace(
        state,
        is_repeatable=_is_repeatable(run),
        missed=rows.suspension_of(run, missed, definition) if missed else None,
    )


def _is_repeatable(run: WorkflowRun) -> bool:
    if run.retryable is False or run.failure_kind == FailureKind.FAIL:
        return bool(run.retryable)
    # A run that failed under older code has no value in these columns, so its history decides: an attempt that
    # crashed is among the failures of its visit, the attempt that returned fail() is not, and a wait that timed
    # out leaves no visit with attempts.
    visits = StepExecution.objects.using(rows.alias()).filter(run=run, sequence=run.sequence - 1, status=FAILED)
    visit = visits.first()
    return visit is None or not visit.attempts or any(it["attempt"] == visit.attempts for it in visit.failures)


def _hold_parent(run: WorkflowRun, now: datetime) -> bool:
    """Lock a parent that still waits for the failed run, and withdraw the run's end from its inbox.

    Returns whether the parent still waits; without a parent, whether it never had one.

    Invariant: a parent learns of one end only. The lock keeps the parent in its wait. The change of its
    ``updated_at`` makes the move of a worker fail that has read the end, but has not written its move yet.

    Runs are locked from the child upwards. A parent that has ended is not locked: the retention locks an ended
    parent first and its children then.
    """
    if run.parent_run_id is None:
        return not run.parent_deleted
    if not _waits_for(_parent_of(run), run):
        return False
    locked = rows.lock(run.parent_run_id)
    if locked is None or not _waits_for(locked[0], run):
        return False
    return inbox.withdraw_end(locked[0], run, now)


def _waits_for(parent: WorkflowRun | None, run: WorkflowRun) -> bool:
    if parent is None or parent.waits_for is None:
        return False
    return bool(parent.waits_for.kind == WaitKind.CHILD and parent.active_subworkflow_run_id == run.pk)


def wake(run_id: int) -> WorkflowRun:
    """End a sleep, or the pause before a retry, at once.

    Raises:
        IllegalMove: the run does not sleep.
    """
    with rows.transaction_of_runs():
        run, watch = rows.lock_existing(run_id)
        definition = rows.definition_of(run)
        asleep = rows.snapshot(run, definition)
        if asleep.suspension is None or asleep.suspension.kind not in CLOCKS:
            raise IllegalMove(f"{run} does not sleep: it is {run.status} and only its answer can move it.")
        due = replace(asleep, suspension=replace(asleep.suspension, due_at=watch.now()))
        commit.commit(run, decide(definition, due, Due(), watch.now()), watch.now())
    return run


def restart(run_id: int, sequence: int) -> WorkflowRun:
    """Start a new run at a step that this run has visited, with the context as it was there.

    Args:
        sequence: the number of the run's move at which the visit was, as its history has it.

    Raises:
        IllegalMove: the run was at no step then.
        ContextInvalid: the context of then does not fit the Context of now, or was too large to keep.
        UnknownStep: the code no longer has the step.
    """
    runs = WorkflowRun.objects.using(rows.alias()).select_related("suspension")
    origin = runs.get(pk=run_id)
    moment = past.moment_of(origin, sequence)
    definition = _definition(origin)
    data, lost = undo(origin.data, past.changes_since(origin, moment.sequence))
    if lost:
        raise ContextInvalid(
            f"The context of then cannot be rebuilt: {', '.join(sorted(lost))} had values of more than the"
            f" {settings.MAX_CHANGE_BYTES:,} bytes that DJANGO_AI['MAX_CHANGE_BYTES'] lets history keep."
        )
    context = contexts.load(definition.context_class, data)
    with rows.transaction_of_runs():
        run = creating.create_at(definition, moment.step, context, inputs=moment.inputs, owner_id=origin.owner_id)
        database = rows.alias()
        tags = RunTag.objects.using(database).filter(run=origin)
        RunTag.objects.using(database).bulk_create([RunTag(run=run, name=tag.name) for tag in tags])
        Restart.objects.using(database).create(run=run, origin=origin, sequence=moment.sequence)
    return run


def _definition(run: WorkflowRun) -> WorkflowDefinition:
    definition = rows.definition_of(run)
    if definition is None:
        raise IllegalMove(f"{run}: no workflow of this name is registered here.")
    return definition
