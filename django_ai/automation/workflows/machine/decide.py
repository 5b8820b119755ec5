"""The decision: (definition, run, what happened, now) → Transition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

from ..exceptions import ContextInvalid, IllegalMove, InvalidCommand, NotDeployed, WaitTimedOut, describe
from .commands import CLOCKS, WaitKind
from .context import class_of, merge
from .definition import Retry, WorkflowDefinition
from .enter import enter, moment
from .happenings import Answered, Cancelled, Due, Happening, Raised, Retried, Returned, Started
from .obey import obey
from .state import Failure, RunState, StepRecord, Suspension, Transition, coalesce
from .statuses import CANCELLED, COMPLETED, FAILED, MOVES, RUNNING, SUSPENDED, FailureKind

# A deployment may take minutes, in which a run meets workers whose code does not have its step yet.
WHILE_NOT_DEPLOYED = Retry(max_attempts=12, max_delay=timedelta(minutes=1))


def begin(
    definition: WorkflowDefinition,
    context: Any,
    now: datetime,
    *,
    step: str | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> Transition:
    """Return the Transition that starts a run, at ``step`` (with ``inputs``) or where its runs begin.

    Raises NoStartStep, or UnknownStep where there is no such step.
    """
    nowhere = RunState(
        status=RUNNING, step="", sequence=0, attempt=0, progress=0.0, context=context, inputs=inputs or {}
    )
    first = definition.start if step is None else definition.step(step)
    return _checked(None, Started(), enter(definition, nowhere, first.name, now))


def decide(definition: WorkflowDefinition | None, state: RunState, happening: Happening, now: datetime) -> Transition:
    """Return how ``state`` moves when ``happening`` happens at ``now``.

    A run whose workflow is not registered (``definition`` None) can still fail, wake and be cancelled.
    Raises IllegalMove where the run's status does not allow it, ContextInvalid or SignalRejected where data
    does not fit, and NotACommand, UnknownStep or InvalidCommand where a step returned something wrong.
    """
    if (state.status, type(happening)) not in MOVES:
        raise IllegalMove(f"A run that is {state.status} cannot be {type(happening).__name__.lower()}.")
    handler: Callable[..., Transition] = _HANDLERS[type(happening)]
    return _checked(state, happening, handler(definition, state, happening, now))


def _checked(state: RunState | None, happening: Happening, transition: Transition) -> Transition:
    if transition.status not in MOVES[state.status if state else None, type(happening)]:
        raise IllegalMove(f"{type(happening).__name__} must not make a run {transition.status}.")
    return transition


def _returned(definition: WorkflowDefinition, state: RunState, happening: Returned, now: datetime) -> Transition:
    waits_for = state.suspension.kind if state.suspension else None
    if state.status is SUSPENDED and waits_for is not WaitKind.FORM:
        raise IllegalMove(f"The run waits for {waits_for}, not for a form.")
    return obey(definition, replace(state, context=happening.context), happening.value, now)


def _raised(definition: WorkflowDefinition | None, state: RunState, happening: Raised, now: datetime) -> Transition:
    counts = not isinstance(happening.error, NotDeployed)
    policy = _policy(definition, state.step) if counts else WHILE_NOT_DEPLOYED
    attempt = state.attempt - state.excused if counts else state.excused + 1
    error = describe(happening.error)
    if attempt > policy.max_attempts:
        # The workers of all attempts are gone; the claim that found this out ran nothing.
        return failed(replace(state, attempt=policy.max_attempts + state.excused), error, state.failures)
    failure = Failure(attempt=state.attempt, error=error, traceback=happening.traceback, at=now, counts=counts)
    failures = coalesce((*state.failures, failure))
    if not policy.allows(happening.error, attempt):
        return failed(state, error, failures)
    pause = policy.delay(attempt, happening.chance)
    backoff = Suspension(kind=WaitKind.RETRY, due_at=now + pause, resumes_body=True, created_at=now)
    return Transition(
        status=SUSPENDED if pause else RUNNING,
        suspension=backoff if pause else None,
        step=state.step,
        sequence=state.sequence,
        attempt=state.attempt,
        progress=state.progress,
        inputs=state.inputs,
        failures=failures,
        error=error,
    )


def failed(
    state: RunState,
    error: str,
    failures: tuple[Failure, ...] = (),
    *,
    kind: FailureKind = FailureKind.EXCEPTION,
) -> Transition:
    """Return the Transition that ends a run as failed at its current step; a retry may repeat that."""
    return Transition(
        status=FAILED,
        step=state.step,
        sequence=state.sequence + 1,
        attempt=state.attempt,
        progress=state.progress,
        inputs=state.inputs,
        error=error,
        failure_kind=kind,
        retryable=True,
        record=StepRecord(step=state.step, status=FAILED, attempts=state.attempt, error=error, failures=failures),
    )


def _due(definition: WorkflowDefinition | None, state: RunState, happening: Due, now: datetime) -> Transition:
    wait = _suspension(state)
    if wait.due_at is None or wait.due_at > now:
        raise IllegalMove("The run's time has not come yet.")
    if wait.kind in CLOCKS:
        return _resumed(definition, state, wait, now)
    if wait.on_timeout is not None:
        onward = _go_on(definition, state, wait.on_timeout, now)
    else:
        error = describe(WaitTimedOut(_overdue(wait)))
        onward = failed(replace(state, attempt=0), error, kind=FailureKind.TIMEOUT)
    return replace(onward, gives_up_child=wait.kind is WaitKind.CHILD, is_overdue=True)


def _answered(definition: WorkflowDefinition, state: RunState, happening: Answered, now: datetime) -> Transition:
    wait = _suspension(state)
    if wait.kind in CLOCKS or wait.kind is WaitKind.FORM:
        raise IllegalMove(f"A run that waits for a {wait.kind} takes no answer.")
    context = _merged(state.context, _read(wait, state.context, happening.payload))
    onward = _resumed(definition, replace(state, context=context), wait, now)
    changed = None if context is state.context else context
    return replace(onward, context=changed, inputs={**onward.inputs, **happening.inputs})


def _read(wait: Suspension, context: BaseModel | None, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    if wait.accepts is None or context is None:
        return payload
    return wait.accepts.read(payload, class_of(context))


def _merged(context: BaseModel | None, payload: Mapping[str, Any]) -> BaseModel | None:
    if not payload:
        return context
    if context is None:
        raise ContextInvalid
    return merge(context, payload)


def _resumed(definition: WorkflowDefinition | None, state: RunState, wait: Suspension, now: datetime) -> Transition:
    if wait.resumes_body:
        again = wait.kind is WaitKind.RETRY
        return Transition(
            status=RUNNING,
            step=state.step,
            # A back-off continues the same visit: its fence moves by the attempt alone, which must
            # not start again, or a step that always fails would never fail for good.
            sequence=state.sequence if again else state.sequence + 1,
            attempt=state.attempt if again else 0,
            progress=state.progress,
            inputs=state.inputs,
            failures=state.failures if again else (),
        )
    if wait.then is None:
        sequence = state.sequence + 1
        return Transition(status=COMPLETED, step=state.step, sequence=sequence, progress=1.0, leaves=state.step)
    return _go_on(definition, state, wait.then, now)


def _go_on(definition: WorkflowDefinition | None, state: RunState, name: str, now: datetime) -> Transition:
    """Enter the step that follows a wait. The run fails where that step's own wait cannot be made."""
    leaves = state.step if name != state.step else None
    try:
        return enter(definition, state, name, now, leaves=leaves)
    except InvalidCommand as error:
        return replace(failed(replace(state, step=name, attempt=0), describe(error)), leaves=leaves)


def _cancelled(
    definition: WorkflowDefinition | None, state: RunState, happening: Cancelled, now: datetime
) -> Transition:
    return Transition(
        status=CANCELLED,
        step=state.step,
        sequence=state.sequence + 1,
        progress=state.progress,
        error=happening.reason,
        gives_up_child=state.suspension is not None and state.suspension.kind is WaitKind.CHILD,
    )


def against_retry(state: RunState, happening: Retried) -> str:
    """Return why a failed run is not retried without force, or an empty text where nothing is against it."""
    if happening.force:
        return ""
    if not state.is_repeatable:
        return (
            f"The run ended by fail() at step {state.step!r}: its workflow decided that, and a retry would repeat"
            f" what the step wrote. {_FORCE}"
        )
    if not happening.is_awaited:
        return (
            "The parent of this run no longer waits for it: it has acted on the failure, or has ended, and would not"
            f" learn of another result. {_FORCE}"
        )
    return ""


_FORCE = "engine.retry(run, force=True) repeats it nevertheless."


def _retried(definition: WorkflowDefinition | None, state: RunState, happening: Retried, now: datetime) -> Transition:
    if reason := against_retry(state, happening):
        raise IllegalMove(reason)
    if state.missed is not None:
        return _wait_again(state, state.missed, now)
    # What failed was a wait, not the step's body: wait again. A form's body runs with the form alone.
    if not state.attempt or _is_form(definition, state.step):
        return enter(definition, state, state.step, now)
    return Transition(
        status=RUNNING,
        step=state.step,
        sequence=state.sequence + 1,
        progress=state.progress,
        inputs=state.inputs,
    )


def _wait_again(state: RunState, missed: Suspension, now: datetime) -> Transition:
    """Begin a wait again that timed out. The body that made it has committed and must not run a second time."""
    assert missed.due_at is not None
    assert missed.created_at is not None
    return Transition(
        status=SUSPENDED,
        step=state.step,
        sequence=state.sequence + 1,
        progress=state.progress,
        inputs=state.inputs,
        suspension=replace(missed, created_at=now, due_at=moment(now, missed.due_at - missed.created_at)),
    )


_HANDLERS: dict[type[Happening], Callable[..., Transition]] = {
    Returned: _returned,
    Raised: _raised,
    Answered: _answered,
    Due: _due,
    Cancelled: _cancelled,
    Retried: _retried,
}


def _suspension(state: RunState) -> Suspension:
    if state.suspension is None:
        raise IllegalMove("The run is suspended without waiting for anything.")
    return state.suspension


def _policy(definition: WorkflowDefinition | None, step: str) -> Retry:
    if definition is None:
        return Retry()
    at = definition.find(step)
    return definition.retry_of(at) if at else Retry()


def _is_form(definition: WorkflowDefinition | None, name: str) -> bool:
    step = definition.find(name) if definition else None
    return step is not None and step.is_form


def _overdue(wait: Suspension) -> str:
    what = f"{wait.kind} {wait.name!r}" if wait.name else f"a {wait.kind}"
    waited = f" within {wait.due_at - wait.created_at}" if wait.due_at and wait.created_at else " in time"
    return f"Timed out: {what} did not come{waited}, and the wait names no on_timeout step."
