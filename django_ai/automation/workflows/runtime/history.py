"""What a run leaves behind when it moves: a step's visit or a wait that has ended, and what changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ...conf import settings
from ..exceptions import kept
from ..machine.changes import Changes, between
from ..machine.commands import CLOCKS, WaitKind
from ..machine.state import StepRecord, Transition
from ..machine.statuses import CANCELLED, COMPLETED, FailureKind
from ..models import PastWait, Signal, StepExecution, Suspension, WaitOutcome, WorkflowRun
from . import rows
from .writes import NewRow


@dataclass(frozen=True, slots=True)
class Left:
    """Where a run was before a move; ``wait`` is what it waited for, ``changes`` what the move changes."""

    status: str
    sequence: int
    step: str
    attempt: int
    failures: list[dict[str, Any]]
    visit_started_at: datetime | None
    wait: Suspension | None
    changes: Changes

    @classmethod
    def behind(cls, run: WorkflowRun, columns: Mapping[str, Any], *, overdue: bool) -> Left:
        """Return where ``run`` is before ``columns`` are written to it, by a time-out if it is ``overdue``."""
        return cls(
            status=run.status,
            sequence=run.sequence,
            step=run.current_step,
            attempt=run.attempt,
            failures=run.failures,
            visit_started_at=run.visit_started_at if _is_visited(run) and not overdue else None,
            wait=run.waits_for,
            changes=between(run.data, columns.get("data", run.data), settings.MAX_CHANGE_BYTES),
        )

    def visit(self, transition: Transition) -> dict[str, Any]:
        """Return the visit that leads to a wait, which keeps it until the run goes on elsewhere."""
        if self.visit_started_at is None or transition.record or transition.attempt:
            return {}
        return {
            "started_at": self.visit_started_at.isoformat(),
            "attempts": self.attempt,
            "failures": self.failures,
            "changes": self.changes,
        }


def _is_visited(run: WorkflowRun) -> bool:
    """Say whether the step's body is under way; the post of a form that failed leaves its beginning behind."""
    wait = run.waits_for
    return wait is None or wait.kind != WaitKind.FORM or run.lease_until is not None


def rows_of(
    run: WorkflowRun, left: Left, transition: Transition, message: Signal | None, now: datetime
) -> Iterator[NewRow]:
    """Yield what is to be kept of the move: the step's visit that has ended, and the wait."""
    visit = left.wait.visit if left.wait is not None else {}
    if left.wait is not None and visit and transition.leaves:
        yield _visit_before(left, left.wait, transition.leaves)
        visit = {}  # it is kept once
    if left.wait is not None and left.wait.kind != WaitKind.RETRY:  # a back-off is part of its step's visit
        outcome, terms = _outcome(left.wait, left, transition, message), _terms(left.wait, transition)
        yield _past_wait(left, left.wait, now, visit=visit, outcome=outcome, terms=terms)
    if transition.record is not None:
        yield _visit(run, left, transition.record, now)


def _visit(run: WorkflowRun, left: Left, record: StepRecord, now: datetime) -> NewRow:
    values = {
        "run_id": run.pk,
        "sequence": left.sequence,
        "step_name": record.step,
        "status": record.status,
        "attempts": record.attempts,
        "error": kept(record.error),
        "failures": [rows.failure_data(failure) for failure in record.failures],
        "changes": left.changes,
        "started_at": left.visit_started_at or now,
        "created_at": now,
    }
    return NewRow(StepExecution, values)


def _visit_before(left: Left, wait: Suspension, step: str) -> NewRow:
    """Return the row of the visit that led to a wait: one move before the wait, and over when the wait began."""
    values = {
        "run_id": wait.pk,
        "sequence": left.sequence - 1,
        "step_name": step,
        "status": COMPLETED,
        "attempts": wait.visit["attempts"],
        "error": "",
        "failures": wait.visit["failures"],
        "changes": wait.visit["changes"],
        "started_at": datetime.fromisoformat(wait.visit["started_at"]),
        "created_at": wait.created_at,
    }
    return NewRow(StepExecution, values)


# Waits that the body of a step makes, and that can begin again without it: a child would have to start anew.
_CAN_BEGIN_AGAIN = frozenset({WaitKind.SIGNAL, WaitKind.EVENT})
_TERMS = ("correlation", "then", "accepts", "display")


def _terms(wait: Suspension, transition: Transition) -> dict[str, Any] | None:
    """Return the terms of a wait whose time-out fails the run, for a retry to begin it again; None otherwise."""
    if transition.failure_kind is not FailureKind.TIMEOUT or wait.resumes_body or wait.kind not in _CAN_BEGIN_AGAIN:
        return None
    assert wait.due_at is not None
    return {
        **{name: getattr(wait, name) for name in _TERMS},
        "since": wait.since.isoformat() if wait.since else None,
        "seconds": (wait.due_at - wait.created_at).total_seconds(),
    }


def missed_wait(run: WorkflowRun) -> Suspension | None:
    """Return the wait whose time-out failed a run, with the times that it had, if a retry can begin it again."""
    waits = PastWait.objects.using(rows.alias()).filter(run=run, sequence=run.sequence - 1, terms__isnull=False)
    past = waits.first()
    if past is None or past.terms is None:
        return None
    began, terms = past.started_at, past.terms
    if terms["accepts"]:  # which has the number of the wait that it belongs to
        terms["accepts"]["sequence"] = run.sequence
    return Suspension(
        run=run,
        kind=past.kind,
        name=past.name,
        created_at=began,
        due_at=began + timedelta(seconds=terms["seconds"]),
        since=datetime.fromisoformat(terms["since"]) if terms["since"] else None,
        **{name: terms[name] for name in _TERMS},
    )


def _past_wait(
    left: Left,
    wait: Suspension,
    now: datetime,
    *,
    visit: Mapping[str, Any],
    outcome: WaitOutcome,
    terms: Mapping[str, Any] | None,
) -> NewRow:
    values = {
        "run_id": wait.pk,
        "sequence": left.sequence,
        "step_name": left.step,
        "kind": wait.kind,
        "name": wait.name,
        "outcome": outcome,
        "visit": visit,
        "terms": terms,
        "started_at": wait.created_at,
        "ended_at": now,
    }
    return NewRow(PastWait, values)


def _outcome(wait: Suspension, left: Left, transition: Transition, message: Signal | None) -> WaitOutcome:
    if transition.status is CANCELLED:
        return WaitOutcome.CANCELLED
    if message or left.visit_started_at:  # with a visit, a form's body has run
        return WaitOutcome.ANSWERED
    return WaitOutcome.DUE if wait.kind in CLOCKS else WaitOutcome.TIMED_OUT
