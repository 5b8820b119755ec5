"""A step in three phases: claim the run, call the step's code, settle what it gave."""

from __future__ import annotations

import logging
import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic

from ... import clock
from ...conf import settings
from .. import logs
from ..exceptions import StaleClaim, WorkerLost, describe, storable
from ..machine.decide import decide
from ..machine.definition import Retry, WorkflowDefinition
from ..machine.happenings import Due, Happening, Raised, Returned
from ..machine.state import Failure, RunState, Transition
from ..machine.statuses import RUNNING
from ..models import WorkflowRun
from . import call, code, commit, dispatch, heartbeat, inbox, notices, rows, stopping, vendors

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Budget:
    """How long one task stays with a run before it lets others have the worker."""

    queue: str | None
    steps: int = field(default_factory=lambda: settings.STEPS_PER_TASK)
    until: float = field(default_factory=lambda: monotonic() + settings.SECONDS_PER_TASK)

    def stays(self, run: WorkflowRun, transition: Transition) -> bool:
        """Say whether this task runs the next step too: there is one, for this queue, in time."""
        if transition.status is not RUNNING or self.steps <= 0 or monotonic() >= self.until:
            return False
        if stopping.announced():
            return False
        at = WorkflowRun(name=run.name, version=run.version, current_step=transition.step)
        return dispatch.queue_of(at) == self.queue


@dataclass(slots=True)
class Claim:
    """A run whose current step this worker owns, and the database's time."""

    run: WorkflowRun
    watch: clock.Stopwatch


def execute(run_id: int, sequence: int, attempt: int) -> None:
    """Run the step that this message is for, and those that follow while the budget lasts.

    A message that comes twice or late finds the fence moved and does nothing.
    """
    claimed = take(run_id, sequence, attempt)
    if claimed:
        go_on(claimed, Budget(queue=dispatch.queue_of(claimed.run)))


def wake(run_id: int, sequence: int) -> None:
    """End a wait whose time has come, and run what follows. Too early, or too late, does nothing."""
    move_suspended(run_id, lambda run, now: due(run, now, sequence), queue=dispatch.queue_of)


def deliver(run_id: int) -> None:
    """Hand a run the next message of its inbox, and run what follows."""
    move_suspended(run_id, inbox.deliver, queue=lambda run: settings.QUEUE)


def move_suspended(
    run_id: int,
    decision: Callable[[WorkflowRun, datetime], rows.Move | None],
    *,
    queue: Callable[[WorkflowRun], str | None] | None = None,
    skip_locked: bool = False,
) -> bool:
    """Lock a run, commit the move that ``decision`` makes of it, and run what follows if this worker may.

    Args:
        queue: gives the queue that this task came from; None leaves what follows to the workers.
        skip_locked: leave a run alone that somebody else holds.

    Returns whether the run moved.
    """
    with rows.transaction_of_runs():
        locked = rows.lock(run_id, skip_locked=skip_locked)
        if locked is None:
            return False
        run, watch = locked
        move = decision(run, watch.now())
        if move is None:
            return False
        budget = Budget(queue=queue(run)) if queue else None
        stays = budget is not None and budget.stays(run, move.transition)
        commit.commit(run, move.transition, watch.now(), message=move.message, claim=stays)
    if budget and stays:
        go_on(Claim(run, watch), budget)
    return True


def due(run: WorkflowRun, now: datetime, sequence: int | None = None) -> rows.Move | None:
    """Return the move of a wait whose time has come, None where it has not."""
    wait = run.waits_for
    if wait is None or wait.due_at is None or sequence not in (None, run.sequence):
        return None
    if run.lease_until is not None and run.lease_until > now:
        return None  # the form that it waits for has come and is being done
    if wait.due_at > now:
        dispatch.timer(run, wait.due_at - now)
        return None
    definition = rows.definition_of(run)
    return rows.Move(decide(definition, rows.snapshot(run, definition), Due(), now))


def take(run_id: int, sequence: int, attempt: int) -> Claim | None:
    """Claim a run at this fence: nobody else owns it, or the owner's lease has run out."""
    run = vendors.way().claim(run_id, sequence, attempt)
    return Claim(run, rows.stopwatch(run)) if run else None


def go_on(claim: Claim, budget: Budget) -> None:
    """Run the claimed step and, while the budget allows, those after it."""
    staying = True
    while staying:
        budget.steps -= 1
        fence = (claim.run.sequence, claim.run.attempt)
        try:
            with heartbeat.keeping(claim.run), notices.attempt(claim):
                staying = _visit(claim, budget)
        except BaseException as error:  # the worker is made to end, or the step ends it
            stopping.give_back(claim.run, {fence, (claim.run.sequence, claim.run.attempt)}, error)
            raise


def _visit(claim: Claim, budget: Budget) -> bool:
    fence = (claim.run.sequence, claim.run.attempt)
    lines = logs.about(claim.run)
    try:
        return _succeed_or_fail(claim, fence, budget)
    except StaleClaim:
        text = "%s moved on while step %s ran; its result was discarded."
        logger.warning(text, claim.run, lines["step"], extra=lines)
        notices.discarded(claim.run)
        return False


def _succeed_or_fail(claim: Claim, fence: tuple[int, int], budget: Budget) -> bool:
    try:
        return _attempt(claim, budget)
    except StaleClaim:
        raise
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything
        return _settle_failure(claim, fence, error, budget)


def _attempt(claim: Claim, budget: Budget) -> bool:
    run = claim.run
    definition, step = code.of(run)
    _check_attempts(run, definition.retry_of(step))
    context = code.context_of(run, definition)
    if step.atomic:
        with rows.transaction_of_runs():
            value = call.call(definition, step, run, context)
            return _settle(claim, definition, Returned(value, context), budget)
    value = call.call(definition, step, run, context)
    with rows.transaction_of_runs():
        return _settle(claim, definition, Returned(value, context), budget)


def _check_attempts(run: WorkflowRun, policy: Retry) -> None:
    # An attempt whose worker died left no trace but its number: it counts all the same.
    if run.attempt > policy.max_attempts:
        raise WorkerLost(
            f"Step {run.current_step!r} was given up: its worker disappeared in each of {policy.max_attempts} attempts."
        )


def _settle(claim: Claim, definition: WorkflowDefinition | None, happening: Happening, budget: Budget) -> bool:
    run = claim.run
    state = _with_lost_attempts(rows.snapshot(run, definition), claim.watch.now())
    transition = decide(definition, state, happening, claim.watch.now())
    stays = budget.stays(run, transition)
    commit.commit(run, transition, claim.watch.now(), claim=stays, ends=True)
    return stays


def _with_lost_attempts(state: RunState, now: datetime) -> RunState:
    known = {failure.attempt for failure in state.failures}
    lost = [attempt for attempt in range(1, state.attempt) if attempt not in known]
    failures = [Failure(attempt=attempt, error=describe(WorkerLost()), traceback="", at=now) for attempt in lost]
    merged = sorted((*state.failures, *failures), key=lambda failure: failure.attempt)
    return replace(state, failures=tuple(merged)) if failures else state


def _settle_failure(claim: Claim, fence: tuple[int, int], error: Exception, budget: Budget) -> bool:
    text = storable("".join(traceback.format_exception(error)))
    happening = Raised(error, traceback=text, chance=random.random())
    with rows.transaction_of_runs():
        # A commit that failed at its end has moved the run in memory alone.
        claim.run, claim.watch = rows.lock_existing(claim.run.pk)
        if (claim.run.sequence, claim.run.attempt) != fence or claim.run.status != RUNNING:
            raise StaleClaim
        stays = _settle(claim, rows.definition_of(claim.run), happening, budget)
    notices.raised(claim, error)
    return stays
