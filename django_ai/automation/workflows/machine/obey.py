"""What each command does to the run whose step returned it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..exceptions import ContextInvalid, NotACommand
from .commands import Command, Complete, Fail, Goto, RunSubflow, Sleep, Wait, WaitKind
from .context import replace
from .definition import StepDefinition, WorkflowDefinition
from .enter import clamped, enter, moment, suspension_of
from .state import ChildStart, RunState, StepRecord, Suspension, Transition
from .statuses import COMPLETED, FAILED, SUSPENDED, FailureKind, WorkflowStatus


def obey(definition: WorkflowDefinition, state: RunState, command: object, now: datetime) -> Transition:
    """Return the Transition that ``command`` asks for. ``state.context`` is as the step left it."""
    if state.context is None:
        raise ContextInvalid
    match command:
        case Goto(step, progress):
            return enter(
                definition,
                state,
                definition.step(step).name,
                now,
                progress=clamped(progress, otherwise=state.progress),
                context=state.context,
                record=_record(state, COMPLETED),
            )
        case Sleep():
            return _sleep(definition, state, command, now)
        case Wait():
            _check_targets(definition, command.then, command.on_timeout)
            then = command.then or definition.step_after(state.step, skipping=command.on_timeout)
            suspension = suspension_of(command, state.context, now, then=then)
            return _suspend(state, suspension, command.progress)
        case RunSubflow():
            return _run_subflow(definition, state, command, now)
        case Complete(fields, display):
            return _end(state, COMPLETED, progress=1.0, fields=fields, completion_display=display)
        case Fail():
            return _fail(state, command)
    raise NotACommand(_not_a_command(definition, definition.step(state.step), command))


def _not_a_command(definition: WorkflowDefinition, step: StepDefinition, value: object) -> str:
    """Return the words for a step's result, by its type alone: its text may be secret, or fail."""
    where = f"Step {definition.cls.__name__}.{step.name} ({step.place}) returned"
    named = value if isinstance(value, str) else getattr(value, "__name__", None)
    if value is None:
        return f"{where} nothing: some way through it ends without return. Write return in front of {_COMMANDS}."
    if isinstance(named, str) and definition.find(named):
        return f"{where} the step {named!r}: write return goto(self.{named})."
    if inspect.isawaitable(value):
        return f"{where} a {type(value).__name__}, which nothing awaits: a step is a plain def."
    if isinstance(value, tuple | list) and any(isinstance(part, Command) for part in value):
        return f"{where} several commands: a step returns one of {_COMMANDS}."
    return f"{where} a {type(value).__name__}; a step must return {_COMMANDS}."


_COMMANDS = "goto(), sleep(), wait(), wait_for_event(), run_subflow(), complete() or fail()"


def _fail(state: RunState, command: Fail) -> Transition:
    return _end(
        state,
        FAILED,
        error=command.reason,
        attempt=state.attempt,
        inputs=state.inputs,
        failure_kind=FailureKind.FAIL,
        retryable=command.retryable,
        completion_display=command.display,
    )


def _sleep(definition: WorkflowDefinition, state: RunState, command: Sleep, now: datetime) -> Transition:
    _check_targets(definition, command.then)
    suspension = Suspension(
        kind=WaitKind.TIMER,
        due_at=command.until or moment(now, command.delay),
        then=command.then or state.step,
        # The same step goes on where it rested: what it waited for has come. A form is asked for anew.
        resumes_body=command.then is None and not definition.step(state.step).is_form,
        created_at=now,
        display=command.display,
    )
    return _suspend(state, suspension, command.progress)


def _run_subflow(definition: WorkflowDefinition, state: RunState, command: RunSubflow, now: datetime) -> Transition:
    _check_targets(definition, command.on_complete, command.on_timeout)
    suspension = Suspension(
        kind=WaitKind.CHILD,
        name=command.workflow,
        due_at=moment(now, command.timeout),
        then=command.on_complete,
        on_timeout=command.on_timeout,
        created_at=now,
        display=command.display,
    )
    child = ChildStart(workflow=command.workflow, version=command.version, context=command.context)
    return _suspend(state, suspension, command.progress, child=child)


def _suspend(state: RunState, suspension: Suspension, progress: float | None, **changes: Any) -> Transition:
    return Transition(
        status=SUSPENDED,
        step=state.step,
        sequence=state.sequence + 1,
        progress=clamped(progress, otherwise=state.progress),
        context=state.context,
        suspension=suspension,
        # For the same step, should the run come back to it: see enter().
        inputs=state.inputs,
        **changes,
    )


def _end(
    state: RunState,
    status: WorkflowStatus,
    *,
    error: str = "",
    progress: float | None = None,
    fields: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Transition:
    assert state.context is not None
    return Transition(
        status=status,
        step=state.step,
        sequence=state.sequence + 1,
        progress=clamped(progress, otherwise=state.progress),
        context=replace(state.context, fields or {}),
        error=error,
        record=_record(state, status, error),
        **changes,
    )


def _record(state: RunState, status: WorkflowStatus, error: str = "") -> StepRecord:
    return StepRecord(step=state.step, status=status, attempts=state.attempt, error=error, failures=state.failures)


def _check_targets(definition: WorkflowDefinition, *names: str | None) -> None:
    for name in names:
        if name is not None:
            definition.step(name)
