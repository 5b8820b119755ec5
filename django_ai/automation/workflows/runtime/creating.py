"""New runs: their rows, and the messages for their first steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
from .writes import NewRow

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


@dataclass(frozen=True, slots=True)
class Child:
    """A child that is yet to be written, together with its parent's move.

    Attributes:
        rows: what is to be inserted, as far as the database has not got it yet.
        claim: the claim of its first step, if the turn takes it on.
    """

    run: WorkflowRun
    begun: Transition
    wait: Suspension | None
    rows: Sequence[NewRow]
    claim: Claim | None

    def announce(self, now: datetime, turn: Turn | None) -> None:
        """Have sent and told, when the transaction commits, what follows from its start; the turn takes it on."""
        _announce([self.run], [self.begun], [self.wait] if self.wait else [], now, claimed=self.claim is not None)
        if turn is not None and self.claim is not None:
            turn.take_on(self.claim)


def prepare_child(parent: WorkflowRun, start: ChildStart, now: datetime, turn: Turn | None) -> Child:
    """Return the child that a parent's move starts; it has its number."""
    definition = registry.find(start.workflow, start.version)
    context = make_context(definition, start.context)
    begun = begin(definition, context, now)
    claims = turn is not None and turn.stays(definition.name, definition.version, begun)
    more = {"parent_run": parent, "owner_id": parent.owner_id, "trace_context": notices.trace_context(definition)}
    run = _new(definition, begun, context, now, more, claim=claims)
    is_inserted = vendors.way().number(run)
    wait = columns.of_wait(run, begun.suspension, now, led_from=now, visit={})
    missing = [*([] if is_inserted else [run]), *([wait] if wait else [])]
    claim = Claim(run, clock.Stopwatch(now)) if claims else None
    return Child(run, begun, wait, [NewRow.of(row) for row in missing], claim)


def waits_first(start: ChildStart) -> bool:
    """Say whether a child begins with a wait."""
    return registry.find(start.workflow, start.version).start.entry is not None


def _create(
    definition: WorkflowDefinition, starts: Sequence[tuple[Transition, BaseModel, Mapping[str, Any]]], now: datetime
) -> list[WorkflowRun]:
    traced = {"trace_context": notices.trace_context(definition)}
    runs = [_new(definition, begun, context, now, {**traced, **more}) for begun, context, more in starts]
    transitions = [begun for begun, *_ in starts]
    with vendors.way().transaction(alone=_is_one_statement(transitions), savepoint=True):
        vendors.way().insert(runs, BATCH)
        waits = _suspend(zip(runs, transitions, strict=True), now)
        _announce(runs, transitions, waits, now)
    return runs


def _new(
    definition: WorkflowDefinition,
    begun: Transition,
    context: BaseModel,
    now: datetime,
    more: Mapping[str, Any],
    *,
    claim: bool = False,
) -> WorkflowRun:
    return WorkflowRun(
        name=definition.name,
        version=definition.version,
        data=columns.data_of(context),
        created_at=now,
        **columns.of_run(begun, now, claim=claim),
        **more,
    )


def _is_one_statement(transitions: Sequence[Transition]) -> bool:
    return len(transitions) <= BATCH and not any(begun.suspension for begun in transitions)


def _suspend(begun_runs: Iterable[tuple[WorkflowRun, Transition]], now: datetime) -> list[Suspension]:
    rows_of_waits = [columns.of_wait(run, begun.suspension, now, led_from=now, visit={}) for run, begun in begun_runs]
    waits = [wait for wait in rows_of_waits if wait is not None]
    if waits:
        Suspension.objects.using(rows.alias()).bulk_create(waits, batch_size=BATCH)
    return waits


def _announce(
    runs: Sequence[WorkflowRun],
    transitions: Sequence[Transition],
    waits: Iterable[Suspension],
    now: datetime,
    *,
    claimed: bool = False,
) -> None:
    for wait in waits:
        announcing.look_back(wait.run, wait)
        announcing.have_woken(wait.run, wait, now)
    if not claimed:
        announcing.have_run(runs)
    notices.started(runs, transitions, now)
