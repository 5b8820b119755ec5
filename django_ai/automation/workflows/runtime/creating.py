"""New runs: their rows, and the messages for their first steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from ... import clock
from ..authoring.registry import registry
from ..machine.decide import begin
from ..machine.definition import WorkflowDefinition
from ..machine.state import ChildStart, Transition
from ..models import Suspension, WorkflowRun
from . import announcing, columns, notices, rows, vendors
from .contexts import make_context
from .turn import Claim, Turn

# Rows of one INSERT.
BATCH = 1000

# A context and the run's further columns.
Start = tuple[BaseModel, Mapping[str, Any]]


def create(definition: WorkflowDefinition, context: BaseModel, **more: Any) -> WorkflowRun:
    """Insert a run at its first step, in the caller's transaction; the message goes out when it commits."""
    return create_many(definition, [(context, more)])[0]


def create_many(definition: WorkflowDefinition, starts: Iterable[Start]) -> list[WorkflowRun]:
    """Insert a run for each context with its further columns, in a few statements for all."""
    starts = list(starts)
    if not starts:
        return []
    now = clock.recent(rows.alias())
    return _create(definition, [(begin(definition, context, now), context, more) for context, more in starts], now)


def create_at(
    definition: WorkflowDefinition, step: str, context: BaseModel, inputs: Mapping[str, Any], **more: Any
) -> WorkflowRun:
    """Insert a run that begins at another step than the first, with that step's arguments."""
    now = clock.recent(rows.alias())
    begun = begin(definition, context, now, step=step, inputs=inputs)
    return _create(definition, [(begun, context, more)], now)[0]


def create_child(parent: WorkflowRun, child: ChildStart, now: datetime, turn: Turn | None) -> WorkflowRun:
    """Insert a child in the transaction of its parent's move; the turn takes it on if it may."""
    definition = registry.find(child.workflow, child.version)
    context = make_context(definition, child.context)
    begun = begin(definition, context, now)
    claim = turn is not None and turn.stays(definition.name, definition.version, begun)
    more = {"parent_run": parent, "owner_id": parent.owner_id}
    (run,) = _create(definition, [(begun, context, more)], now, claim=claim)
    if turn is not None and claim:
        turn.take_on(Claim(run, clock.Stopwatch(now)))
    return run


def _create(
    definition: WorkflowDefinition,
    starts: Sequence[tuple[Transition, BaseModel, Mapping[str, Any]]],
    now: datetime,
    *,
    claim: bool = False,
) -> list[WorkflowRun]:
    trace_context = notices.trace_context(definition)
    runs = [
        WorkflowRun(
            name=definition.name,
            version=definition.version,
            data=columns.data_of(context),
            created_at=now,
            trace_context=trace_context,
            **columns.of_run(begun, now, claim=claim),
            **more,
        )
        for begun, context, more in starts
    ]
    transitions = [begun for begun, *_ in starts]
    # A claim is made inside the transaction of a move, which fails as a whole.
    with vendors.way().transaction(alone=_is_one_statement(transitions), savepoint=not claim):
        vendors.way().insert(runs, BATCH)
        _suspend(zip(runs, transitions, strict=True), now)
        if not claim:
            announcing.have_run(runs)
        notices.started(runs, transitions, now)
    return runs


def _is_one_statement(transitions: Sequence[Transition]) -> bool:
    return len(transitions) <= BATCH and not any(begun.suspension for begun in transitions)


def _suspend(begun_runs: Iterable[tuple[WorkflowRun, Transition]], now: datetime) -> None:
    rows_of_waits = [columns.of_wait(run, begun.suspension, now, led_from=now, visit={}) for run, begun in begun_runs]
    waits = [wait for wait in rows_of_waits if wait is not None]
    if not waits:
        return
    Suspension.objects.using(rows.alias()).bulk_create(waits, batch_size=BATCH)
    for wait in waits:
        announcing.look_back(wait.run, wait)
        announcing.have_woken(wait.run, wait, now)
