"""What a person does to one run: mend its context, end its rest, begin it anew from an earlier step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from ...conf import settings
from ..exceptions import ContextInvalid, IllegalMove
from ..machine import context as contexts
from ..machine.changes import undo
from ..machine.commands import CLOCKS
from ..machine.decide import decide
from ..machine.definition import WorkflowDefinition
from ..machine.happenings import Due
from ..machine.statuses import FAILED, SUSPENDED
from ..models import Restart, RunTag, Signal, SignalKind, SignalState, WorkflowRun
from . import commit, creating, past, rows


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
        context = contexts.load(definition.context_class, {**run.data, **known})
        changes = commit.rewrite(run, context, watch.now())
        Signal.objects.using(rows.alias()).create(
            run=run,
            kind=SignalKind.EDIT,
            payload=known,
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
