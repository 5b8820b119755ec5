"""A run's history as rows of a time line: visits of steps, waits between them, and what goes on now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from ..machine.changes import ABSENT, OMITTED, is_omitted
from ..machine.commands import WaitKind
from ..machine.state import MOST_FAILURES
from ..machine.statuses import RUNNING
from ..masking import Mask
from ..models import PastWait, Signal, SignalKind, StepExecution, WaitOutcome, WorkflowRun
from ..runtime.rows import numbers_of
from .showing import shown, without_engine
from .times import compact

# The width of a time line, in the units of its picture, and that of the shortest bar.
WIDTH = 1000.0
LEAST = 8.0

_WAIT_NAMES: dict[str, str] = {
    WaitKind.TIMER: "sleep",
    WaitKind.SIGNAL: "signal {}",
    WaitKind.EVENT: "event {}",
    WaitKind.CHILD: "child {}",
    WaitKind.FORM: "form",
}
_ENDED_BY: dict[str, str] = {
    WaitOutcome.ANSWERED: "answered",
    WaitOutcome.DUE: "slept through",
    WaitOutcome.TIMED_OUT: "timed out",
    WaitOutcome.CANCELLED: "cancelled",
}


_WAIT_STATES: dict[str, str] = {WaitOutcome.TIMED_OUT: "timed-out", WaitOutcome.CANCELLED: "cancelled"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A field that was changed, as texts; None stands for a value that was not there."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A part of a row's bar, in the units of the picture."""

    x: float
    width: float
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One visit of a step, or one wait.

    Attributes:
        kind: ``step`` or ``wait``.
        state: done, failed, running, waiting, cancelled, or timed-out.
        spans: (from, until, kind) of the parts of its bar: each attempt, with the pause before it.
        message: what answered a wait.
        visit: the number by which a new run can be begun here, None where it cannot.
        bars, took: what is shown of its time, once it is known where the time line ends.
        is_present: whether it goes on now, or has led to the wait that does.
    """

    kind: str
    state: str
    name: str
    step: str
    sequence: int
    start: datetime
    end: datetime | None
    spans: Sequence[tuple[datetime, datetime | None, str]]
    note: str = ""
    error: str = ""
    attempts: int = 1
    failures: Sequence[Mapping[str, Any]] = ()
    changes: Sequence[Change] = ()
    message: Signal | None = None
    visit: int | None = None
    bars: Sequence[Bar] = ()
    took: str = ""
    is_present: bool = False


def rows_of(
    run: WorkflowRun | None, executions: Iterable[StepExecution], waits: Iterable[PastWait], mask: Mask
) -> list[Row]:
    """Return the rows in the order in which all happened; those of the present if a run is given."""
    rows = [_executed(execution, mask) for execution in executions]
    for wait in waits:
        rows += _waited(wait, mask)
    rows += (replace(row, is_present=True) for row in (_present(run, mask) if run else ()))
    return sorted(rows, key=lambda row: (row.sequence, row.kind == "step"))


def with_bars(rows: Sequence[Row], now: datetime) -> list[Row]:
    """Return the rows with their bars, drawn to one scale from the first start until the last end."""
    if not rows:
        return []
    first, last = min(row.start for row in rows), max(row.end or now for row in rows)
    whole = max((last - first).total_seconds(), 0.001)

    def bar(start: datetime, end: datetime | None, kind: str) -> Bar:
        x = (start - first).total_seconds() / whole * WIDTH
        width = max(((end or now) - start).total_seconds() / whole * WIDTH, LEAST)
        return Bar(x=round(min(x, WIDTH - LEAST), 2), width=round(width, 2), kind=kind)

    return [
        replace(row, bars=[bar(*span) for span in row.spans], took=compact((row.end or now) - row.start))
        for row in rows
    ]


def with_messages(rows: Sequence[Row], messages: Iterable[Signal]) -> list[Row]:
    """Return the rows, each wait with the message that answered it."""
    by_sequence = {message.sequence: message for message in messages if message.kind != SignalKind.EDIT}
    return [
        replace(row, message=by_sequence.get(row.sequence)) if row.kind == "wait" and row.note == "answered" else row
        for row in rows
    ]


def changes_of(changes: Mapping[str, Sequence[Any]], mask: Mask) -> list[Change]:
    """Return changes as texts, with what is sensitive masked."""
    masked = mask.changes(changes)
    return [Change(name=name, before=_side(sides[0]), after=_side(sides[1])) for name, sides in masked.items()]


def failures_of(failures: Iterable[Mapping[str, Any]], mask: Mask) -> list[dict[str, Any]]:
    """Return the newest failed attempts, their texts cleared of secrets and their times as times."""
    return [
        {
            **failure,
            "attempt": numbers_of(failure),
            "at": datetime.fromisoformat(failure["at"]),
            "error": mask.text(failure["error"]),
            "traceback": mask.text(without_engine(failure["traceback"])),
        }
        for failure in list(failures)[-MOST_FAILURES:]
    ]


def _side(value: Any) -> str | None:
    if value == ABSENT:
        return None
    return f"({value[OMITTED]:,} bytes, too large to keep)" if is_omitted(value) else shown(value)


def _executed(execution: StepExecution, mask: Mask) -> Row:
    failures = failures_of(execution.failures, mask)
    is_done = execution.status == "completed"
    return Row(
        kind="step",
        state="done" if is_done else "failed",
        name=execution.step_name,
        step=execution.step_name,
        sequence=execution.sequence,
        start=execution.started_at,
        end=execution.created_at,
        spans=_attempts(execution.started_at, failures, execution.created_at, "done" if is_done else "failed"),
        error=mask.text(execution.error),
        attempts=execution.attempts,
        failures=failures,
        changes=changes_of(execution.changes, mask),
        visit=execution.sequence,
    )


def _waited(wait: PastWait, mask: Mask) -> Iterator[Row]:
    if wait.visit:
        yield _visited(wait.visit, wait.step_name, wait.sequence, wait.started_at, mask)
    state = _WAIT_STATES.get(wait.outcome, "waited")
    yield Row(
        kind="wait",
        state=state,
        name=_WAIT_NAMES.get(wait.kind, wait.kind).format(wait.name),
        step=wait.step_name,
        sequence=wait.sequence,
        start=wait.started_at,
        end=wait.ended_at,
        spans=[(wait.started_at, wait.ended_at, state)],
        note=_ENDED_BY.get(wait.outcome, wait.outcome),
    )


def _visited(visit: Mapping[str, Any], step: str, sequence: int, end: datetime, mask: Mask) -> Row:
    """Return the row of a visit that ended by waiting; its number is one before that of the wait."""
    start, failures = datetime.fromisoformat(visit["started_at"]), failures_of(visit["failures"], mask)
    return Row(
        kind="step",
        state="done",
        name=step,
        step=step,
        sequence=sequence - 1,
        start=start,
        end=end,
        spans=_attempts(start, failures, end, "done"),
        attempts=visit["attempts"],
        failures=failures,
        changes=changes_of(visit["changes"], mask),
        visit=sequence - 1,
    )


def _present(run: WorkflowRun, mask: Mask) -> Iterator[Row]:
    """Yield what goes on now: the wait and the visit that led to it, or the visit that is under way."""
    wait = run.waits_for
    if wait is not None and wait.kind != WaitKind.RETRY:
        if wait.visit:
            yield _visited(wait.visit, run.current_step, run.sequence, wait.created_at, mask)
        yield Row(
            kind="wait",
            state="waiting",
            name=_WAIT_NAMES.get(WaitKind(wait.kind), wait.kind).format(wait.name),
            step=run.current_step,
            sequence=run.sequence,
            start=wait.created_at,
            end=None,
            spans=[(wait.created_at, None, "waiting")],
            failures=failures_of(run.failures, mask),
        )
    elif wait is not None or run.status == RUNNING:
        yield _under_way(run, mask)


def _under_way(run: WorkflowRun, mask: Mask) -> Row:
    failures = failures_of(run.failures, mask)
    start = run.visit_started_at or run.dispatched_at or run.updated_at
    kind = "running" if run.lease_until and not run.waits_for else "queued"
    return Row(
        kind="step",
        state="running" if kind == "running" else "waiting",
        name=run.current_step,
        step=run.current_step,
        sequence=run.sequence,
        start=start,
        end=None,
        spans=_attempts(start, failures, None, kind),
        note="" if kind == "running" else "pauses before the next attempt" if run.waits_for else "waits for a worker",
        attempts=max(run.attempt, 1),
        failures=failures,
    )


def _attempts(
    start: datetime, failures: Sequence[Mapping[str, Any]], end: datetime | None, kind: str
) -> list[tuple[datetime, datetime | None, str]]:
    """Return the parts of a visit: until each failure, and from the last one on until its end."""
    moments = [start, *(failure["at"] for failure in failures)]
    spans: list[tuple[datetime, datetime | None, str]] = [(begin, at, "failed") for begin, at in pairwise(moments)]
    if kind == "failed" and failures:
        return spans
    return [*spans, (moments[-1], end, kind)]
