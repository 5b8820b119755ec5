"""Entering a step: it runs at once, or first waits for what it declares."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

from ... import storable
from ..exceptions import InvalidCommand
from . import context as contexts
from .commands import Wait, WaitKind
from .correlation import check_wait, correlation_key
from .definition import StepDefinition, WorkflowDefinition
from .state import RunState, Suspension, Transition
from .statuses import RUNNING, SUSPENDED


def enter(
    definition: WorkflowDefinition | None, state: RunState, name: str, now: datetime, **changes: Any
) -> Transition:
    """Return the Transition by which the run enters the step ``name``.

    ``changes`` are further fields of the Transition. Without a definition, or with a step that the
    code no longer has, the run asks for a worker, which will say what is missing.
    """
    step = definition.find(name) if definition else None
    suspension = _entry(step, state.context, now) if step else None
    changes.setdefault("progress", state.progress)
    if suspension and step and step.entry:
        changes["progress"] = clamped(step.entry.progress, otherwise=changes["progress"])
    # A step that comes back to itself keeps its arguments, such as a child's result.
    changes.setdefault("inputs", state.inputs if name == state.step or not state.step else {})
    return Transition(
        status=SUSPENDED if suspension else RUNNING,
        step=step.name if step else name,
        sequence=state.sequence + 1,
        suspension=suspension,
        **changes,
    )


def _entry(step: StepDefinition, context: BaseModel | None, now: datetime) -> Suspension | None:
    wait = step.entry
    if wait is None or (context is None and wait.kind is not WaitKind.FORM):
        return None
    return suspension_of(wait, context, now, resumes_body=True)


def suspension_of(
    wait: Wait, context: BaseModel | None, now: datetime, *, then: str | None = None, resumes_body: bool = False
) -> Suspension:
    """Return the Suspension that a wait makes for a run with this context.

    Raises:
        InvalidCommand: the wait names fields that the Context does not have, or a key that cannot be filled in.
    """
    if context is not None:
        check_wait(wait, contexts.class_of(context))
    return Suspension(
        kind=wait.kind,
        name=wait.name,
        correlation=None if context is None else correlation_key(wait, context),
        due_at=moment(now, wait.timeout),
        since=wait.since if isinstance(wait.since, datetime) else moment(now, wait.since, back=True),
        then=then,
        on_timeout=wait.on_timeout,
        resumes_body=resumes_body,
        created_at=now,
        accepts=wait.accepts.bound(contexts.class_of(context)) if wait.accepts and context is not None else None,
        display=wait.display,
    )


def moment(now: datetime, delay: timedelta | None, *, back: bool = False) -> datetime | None:
    """Return ``now`` moved by ``delay``. Raises InvalidCommand where no database stores that moment."""
    if delay is None:
        return None
    with suppress(OverflowError):
        moved = now - delay if back else now + delay
        if storable.has_moment(moved):
            return moved
    raise InvalidCommand(f"{delay} from now is past the end of the calendar.")


def clamped(progress: float | None, otherwise: float) -> float:
    """Return ``progress`` within 0 and 1, or ``otherwise`` where there is none."""
    if progress is None or math.isnan(progress):
        return otherwise
    return min(1.0, max(0.0, float(progress)))
