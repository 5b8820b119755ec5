"""A step in three phases: claim the run, call the step's code, settle what it gave."""

from __future__ import annotations

import logging
import random
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from time import monotonic
from typing import Any

from pydantic import BaseModel

from ...conf import settings
from .. import logs
from ..exceptions import StaleClaim, StepTimedOut, WorkerLost, describe, storable
from ..machine.decide import decide
from ..machine.definition import Retry, StepDefinition, WorkflowDefinition
from ..machine.happenings import Happening, Raised, Returned
from ..machine.state import Failure, RunState
from ..machine.statuses import RUNNING
from ..models import WorkflowRun
from . import call, code, commit, dispatch, heartbeat, moving, notices, pace, rows, stopping, timeouts, vendors
from .turn import Claim, Turn

logger = logging.getLogger(__name__)


def execute(run_id: int, sequence: int, attempt: int, turn: Turn | None = None) -> None:
    """Run the step that this message is for, and what follows while the task's turn lasts.

    A message that comes twice or late finds the fence moved and does nothing.
    """
    claimed = take(run_id, sequence, attempt)
    if claimed:
        go_on(claimed, turn or Turn(queue=dispatch.queue_of(claimed.run)))


def wake(run_id: int, sequence: int, turn: Turn | None = None) -> None:
    """End a wait whose time has come, and run what follows. Too early, or too late, does nothing."""
    _move(run_id, moving.wake_up(sequence), lambda run: turn or Turn(queue=dispatch.queue_of(run)))


def deliver(run_id: int, turn: Turn | None = None) -> None:
    """Hand a run the next message of its inbox, and run what follows."""
    _move(run_id, moving.DELIVERY, lambda run: turn or Turn(queue=settings.QUEUE))


TASKS: dict[str, Callable[..., None]] = {
    dispatch.EXECUTE: execute,
    dispatch.WAKE: wake,
    dispatch.DELIVER: deliver,
}


def several(task: str, queue: str | None, arguments: Sequence[Sequence[Any]]) -> None:
    """Do what several messages ask for, one after the other; what is not quick leaves the rest to others."""
    turn = Turn(queue=queue, task=task, rest=[tuple(each) for each in arguments])
    while turn.rest and not stopping.announced():
        each = turn.rest.pop(0)
        try:
            TASKS[task](*each, turn=turn)
        except Exception:  # one that cannot be done must not keep the others from it
            turn.rolled_back()
            text = "%s%s failed; those that came with it go on."
            logger.exception(text, task, each, extra=logs.fields(run_id=each[0]))
            rows.leave_broken_connection()
        except BaseException:  # the worker is made to end
            turn.hand_over()
            raise
        if not turn.lasts():  # but one is done in each turn, however short, or they would go round for ever
            break
    turn.hand_over()


def _move(run_id: int, decisions: moving.Decisions, turn_of: moving.TurnOf) -> None:
    moved = moving.move(run_id, decisions, turn_of)
    if moved:
        go_on(moved.claim, moved.turn)


def take(run_id: int, sequence: int, attempt: int) -> Claim | None:
    """Claim a run at this fence: nobody else owns it, or the owner's lease has run out."""
    asked = monotonic()
    run = vendors.way().claim(run_id, sequence, attempt)
    return Claim(run, rows.stopwatch(run), asked) if run else None


def go_on(claim: Claim | None, turn: Turn) -> None:
    """Run the claimed step and those after it while the turn lasts, in this run and in its family."""
    while True:
        while claim is not None and _take_step(claim, turn):
            pass
        if not turn.family:
            return
        claim = _next_of(turn)


def _next_of(turn: Turn) -> Claim | None:
    """Return the claim of the family's next run, if there is something to do for it."""
    next_one = turn.family.popleft()
    if isinstance(next_one, Claim):
        return next_one
    if not turn.lasts():
        dispatch.delivery(next_one)
        return None
    moved = moving.move(next_one, moving.DELIVERY, lambda run: turn)
    return moved.claim if moved else None


def _take_step(claim: Claim, turn: Turn) -> bool:
    """Run the claimed step; say whether the next one is claimed too."""
    turn.share(claim.run)
    turn.steps -= 1
    fence = (claim.run.sequence, claim.run.attempt)
    heartbeat.renew_late(claim.run, claim.asked)
    try:
        with heartbeat.keeping(claim.run), notices.attempt(claim):
            return _visit(claim, turn)
    except BaseException as error:  # the worker is made to end, or the step ends it
        stopping.give_back(claim.run, {fence, (claim.run.sequence, claim.run.attempt)}, error)
        _give_back_family(turn, error)
        raise


def _give_back_family(turn: Turn, error: BaseException) -> None:
    for other in turn.family:
        if isinstance(other, Claim):
            stopping.give_back(other.run, {(other.run.sequence, other.run.attempt)}, error)


def _visit(claim: Claim, turn: Turn) -> bool:
    fence = (claim.run.sequence, claim.run.attempt)
    lines = logs.about(claim.run)
    try:
        return _succeed_or_fail(claim, fence, turn)
    except StaleClaim:
        turn.rolled_back()
        text = "%s moved on while step %s ran; its result was discarded."
        logger.warning(text, claim.run, lines["step"], extra=lines)
        notices.discarded(claim.run)
        return False


def _succeed_or_fail(claim: Claim, fence: tuple[int, int], turn: Turn) -> bool:
    try:
        return _attempt(claim, turn)
    except StaleClaim:
        raise
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything
        turn.rolled_back()
        return _settle_failure(claim, fence, error, turn)


def _attempt(claim: Claim, turn: Turn) -> bool:
    run = claim.run
    definition, step = code.of(run)
    _check_attempts(run, definition.retry_of(step))
    context = code.context_of(run, definition)
    if not step.atomic:
        value = _call(claim, definition, step, context)
    else:
        with rows.transaction_of_runs():
            value = _call(claim, definition, step, context)
            if not vendors.way().is_untouched():
                return _settle(claim, definition, Returned(value, context), turn)
    # The move is a transaction by itself: the step's own is over, or had nothing in it.
    with rows.savepoint():
        return _settle(claim, definition, Returned(value, context), turn)


def _call(claim: Claim, definition: WorkflowDefinition, step: StepDefinition, context: BaseModel) -> object:
    run, fence = claim.run, (claim.run.sequence, claim.run.attempt)

    def give_up(error: StepTimedOut) -> None:
        heartbeat.let_go(run, *fence)
        with suppress(StaleClaim):
            _settle_failure(replace(claim), fence, error, Turn(queue=None, steps=0))

    place, began = pace.place_of(run), monotonic()
    try:
        return timeouts.run(lambda: call.call(definition, step, run, context), step.timeout, give_up)
    finally:
        pace.note(place, monotonic() - began)


def _check_attempts(run: WorkflowRun, policy: Retry) -> None:
    if run.attempt <= policy.max_attempts:
        return
    # An attempt whose worker died left no trace but its number: it counts all the same.
    counted = sum(failure.counts for failure in rows.failures_of(run))
    excused = len(run.failures) - counted
    if run.attempt - excused > policy.max_attempts:
        lost = policy.max_attempts - counted
        raise WorkerLost(
            f"Step {run.current_step!r} was given up:"
            f" its worker disappeared in {lost} of {policy.max_attempts} attempts."
        )


def _settle(claim: Claim, definition: WorkflowDefinition | None, happening: Happening, turn: Turn) -> bool:
    run = claim.run
    context = happening.context if isinstance(happening, Returned) else None
    state = _with_lost_attempts(rows.snapshot(run, definition, context=context), claim.watch.now())
    transition = decide(definition, state, happening, claim.watch.now())
    claim.asked = monotonic()
    return commit.commit(run, transition, claim.watch.now(), turn=turn)


def _with_lost_attempts(state: RunState, now: datetime) -> RunState:
    known = {failure.attempt for failure in state.failures}
    lost = [attempt for attempt in range(1, state.attempt) if attempt not in known]
    failures = [Failure(attempt=attempt, error=describe(WorkerLost()), traceback="", at=now) for attempt in lost]
    merged = sorted((*state.failures, *failures), key=lambda failure: failure.attempt)
    return replace(state, failures=tuple(merged)) if failures else state


def _settle_failure(claim: Claim, fence: tuple[int, int], error: Exception, turn: Turn) -> bool:
    text = storable("".join(traceback.format_exception(error)))
    happening = Raised(error, traceback=text, chance=random.random())
    with rows.transaction_of_runs():
        # A commit that failed at its end has moved the run in memory alone.
        claim.run, claim.watch = rows.lock_existing(claim.run.pk)
        if (claim.run.sequence, claim.run.attempt) != fence or claim.run.status != RUNNING:
            raise StaleClaim
        stays = _settle(claim, rows.definition_of(claim.run), happening, turn)
    notices.raised(claim, error)
    return stays
