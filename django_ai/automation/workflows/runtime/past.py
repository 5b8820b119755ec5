"""Where a run has been, read from its history: at which steps, with which context."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..authoring.methods import SUBFLOW_RESULT
from ..exceptions import IllegalMove
from ..machine.changes import Changes
from ..models import PastWait, Signal, SignalKind, SignalState, StepExecution, WorkflowRun
from . import rows


@dataclass(frozen=True, slots=True)
class Moment:
    """When a run entered a step: the number of the move, the step, and the step's arguments."""

    sequence: int
    step: str
    inputs: dict[str, Any] = field(default_factory=dict)


def moment_of(run: WorkflowRun, sequence: int) -> Moment:
    """Return when the run entered the step that it visited at ``sequence``; an entry wait comes before its body.

    Raises:
        IllegalMove: the run was at no step then.
    """
    step = _step_at(run, sequence)
    if step is None:
        raise IllegalMove(f"{run} was at no step at its move {sequence}.")
    entry = _waits(run).filter(sequence=sequence - 1, step_name=step, visit={}).first() if sequence else None
    return Moment(entry.sequence if entry else sequence, step, _inputs(run, step, sequence))


def changes_since(run: WorkflowRun, sequence: int) -> Iterator[Changes]:
    """Yield what has changed since the run entered the step at ``sequence``, the latest first.

    What somebody edited while the run was there is not undone: it was meant for that step.
    """
    edits = _messages(run).filter(kind=SignalKind.EDIT, sequence__gt=sequence)
    found = [(edit.sequence, 0, edit.pk, edit.changes) for edit in edits]
    answers = _messages(run).exclude(kind=SignalKind.EDIT).filter(sequence__gte=sequence)
    found += [(answer.sequence, 1, 0, answer.changes) for answer in answers]
    executions = StepExecution.objects.using(rows.alias()).filter(run=run, sequence__gte=sequence)
    found += [(execution.sequence, 1, 0, execution.changes) for execution in executions]
    found += [(at, 1, 0, visit.get("changes", {})) for at, _, visit in _waiting_visits(run) if at >= sequence]
    yield from (changes for *_, changes in sorted(found, key=lambda item: item[:3], reverse=True))


def _step_at(run: WorkflowRun, sequence: int) -> str | None:
    execution = StepExecution.objects.using(rows.alias()).filter(run=run, sequence=sequence).first()
    if execution is not None:
        return execution.step_name
    return next((step for at, step, _ in _waiting_visits(run) if at == sequence), None)


def _waiting_visits(run: WorkflowRun) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield number, step and visit of those visits that ended by waiting: one move before their wait."""
    for wait in _waits(run):
        if wait.visit:
            yield wait.sequence - 1, wait.step_name, wait.visit
    if run.waits_for and run.waits_for.visit:
        yield run.sequence - 1, run.current_step, run.waits_for.visit


def _inputs(run: WorkflowRun, step: str, sequence: int) -> dict[str, Any]:
    """Return the step's arguments: the result of the child that led to it, kept while the step repeats itself."""
    child = _messages(run).filter(kind=SignalKind.CHILD, sequence__lt=sequence).order_by("sequence").last()
    if child is None:
        return {}
    since = {"run": run, "sequence__gt": child.sequence, "sequence__lt": sequence}
    executions = StepExecution.objects.using(rows.alias()).filter(**since)
    been_elsewhere = any(found.exclude(step_name=step).exists() for found in (executions, _waits(run).filter(**since)))
    return {} if been_elsewhere else {SUBFLOW_RESULT: child.payload}


def _waits(run: WorkflowRun) -> Any:
    return PastWait.objects.using(rows.alias()).filter(run=run).order_by("sequence")


def _messages(run: WorkflowRun) -> Any:
    return Signal.objects.using(rows.alias()).filter(run=run, state=SignalState.DELIVERED)
