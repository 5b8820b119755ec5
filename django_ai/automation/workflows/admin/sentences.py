"""Why a run does not move, in one sentence."""

from __future__ import annotations

from datetime import datetime

from ..machine.commands import WaitKind
from ..machine.definition import StepDefinition
from ..machine.statuses import CANCELLED, COMPLETED, FAILED, RUNNING, FailureKind
from ..models import Suspension, WorkflowRun
from ..runtime import by_hand, rows
from .times import duration, moment, short

_WAITS = {
    WaitKind.SIGNAL: "Waits for the signal “{name}”{key}",
    WaitKind.EVENT: "Waits for the event “{name}”{key}",
    WaitKind.FORM: "Waits for somebody to fill in the form of “{step}”",
    WaitKind.CHILD: "Waits for its child run of “{name}”",
}
_SHORT = {
    WaitKind.SIGNAL: "signal {name}",
    WaitKind.EVENT: "event {name}",
    WaitKind.FORM: "form {step}",
    WaitKind.CHILD: "child {name}",
    WaitKind.TIMER: "sleep",
    WaitKind.RETRY: "retry",
}


def sentence(run: WorkflowRun, now: datetime) -> str:
    """Say what a run does or waits for, since when, until when, and what comes then."""
    wait = run.waits_for
    if wait is not None:
        return _waiting(run, wait, now)
    if run.status == RUNNING:
        return _running(run, now)
    took = duration((run.finished_at or now) - run.created_at)
    ended = moment(run.finished_at or now, now)
    texts: dict[str, str] = {
        COMPLETED: f"Completed at {ended}, after {took}.",
        FAILED: _failed(run, ended, took),
        CANCELLED: f"Cancelled at {ended}, after {took}{f': {run.error}' if run.error else ''}.",
    }
    return texts.get(run.status, f"Waits at “{run.current_step}”, but nobody knows for what.")


_HOW_FAILED: dict[str, str] = {FailureKind.FAIL: " by fail()", FailureKind.TIMEOUT: " by the time-out of its wait"}


def _failed(run: WorkflowRun, ended: str, took: str) -> str:
    step, kind = f"“{run.current_step}”", run.failure_kind
    how = _HOW_FAILED.get(kind or "", "")
    refusal = by_hand.against_retry(run) if run.status == FAILED else ""
    return f"Failed at {ended} in the step {step}{how}, after {took}. {refusal or 'It can be retried from there.'}"


def _running(run: WorkflowRun, now: datetime) -> str:
    step = f"“{run.current_step}”"
    if run.lease_until is None:
        return f"The step {step} waits for a worker{_since(run.dispatched_at, now)}."
    if run.lease_until < now:
        return f"The worker of the step {step} has been silent for too long; another one will take the step over."
    again = f" (attempt {run.attempt})" if run.attempt > 1 else ""
    return f"A worker runs the step {step}{again}{_since(run.visit_started_at, now)}."


def _since(start: datetime | None, now: datetime) -> str:
    return f" since {moment(start, now)} ({duration(now - start)})" if start else ""


def _waiting(run: WorkflowRun, wait: Suspension, now: datetime) -> str:
    since = _since(wait.created_at, now)
    due = moment(wait.due_at, now) if wait.due_at else ""
    late = " That is past: it will wake as soon as the scheduler looks." if wait.due_at and wait.due_at < now else ""
    if wait.kind == WaitKind.TIMER:
        return f"Sleeps{since}, until {due}; then goes on with “{wait.then or run.current_step}”.{late}"
    if wait.kind == WaitKind.RETRY:
        ago = duration(now - wait.created_at)
        return f"Attempt {run.attempt} of {_attempts(run)} failed {ago} ago; the next one starts at {due}.{late}"
    what = _text(_WAITS, run, wait) if wait.kind in _WAITS else f"Waits for a {wait.kind}"
    if not due:
        return f"{what}{since}, for as long as it takes; then goes on with “{_next(run, wait)}”."
    otherwise = f"goes on with “{wait.on_timeout}”" if wait.on_timeout else "fails"
    return f"{what}{since}, until {due}; then it {otherwise}.{late}"


def waiting(run: WorkflowRun, now: datetime) -> str:
    """Return what a run waits for and until when, in a few words, for a list."""
    wait = run.waits_for
    if wait is None:
        return ""
    what = _text(_SHORT, run, wait) if wait.kind in _SHORT else str(wait.kind)
    if wait.due_at is None:
        return what
    is_late = wait.due_at < now
    return f"{what} · {'overdue ' + short(now - wait.due_at) if is_late else 'until ' + moment(wait.due_at, now)}"


def attempts(run: WorkflowRun) -> str:
    """Return which attempt of how many the run's step is at, or nothing while all goes well."""
    return f"{run.attempt} of {_attempts(run)}" if run.attempt > 1 or run.status == FAILED else ""


def _text(texts: dict[WaitKind, str], run: WorkflowRun, wait: Suspension) -> str:
    key = f" (key {wait.correlation})" if wait.correlation is not None else ""
    return texts[WaitKind(wait.kind)].format(name=wait.name, key=key, step=run.current_step)


def _next(run: WorkflowRun, wait: Suspension) -> str:
    if wait.resumes_body:
        return run.current_step
    return wait.then or "the end"


def _attempts(run: WorkflowRun) -> int:
    definition = rows.definition_of(run)
    step: StepDefinition | None = definition.find(run.current_step) if definition else None
    most = definition.retry_of(step).max_attempts if definition and step else 1
    return max(most, run.attempt)  # some may not have counted, for want of the step's code
