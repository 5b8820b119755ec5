"""The attempt of a claimed step: call its code, and settle what it gave."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from time import monotonic
from typing import Any

from django.db import InterfaceError, OperationalError

from ...conf import settings
from .. import logs
from ..exceptions import StaleClaim, StepTimedOut, WorkerLost, describe, kept, traceback_of
from ..machine.decide import decide
from ..machine.definition import Retry, StepDefinition, WorkflowDefinition
from ..machine.happenings import Happening, Raised, Returned
from ..machine.redaction import told
from ..machine.state import Failure, RunState, Transition, coalesce
from ..machine.statuses import RUNNING
from ..models import WorkflowRun
from . import (
    call,
    code,
    commit,
    heartbeat,
    notices,
    overtaken,
    pace,
    posting,
    redaction,
    rows,
    stopping,
    timeouts,
    vendors,
)
from .turn import Claim, Posted, Turn

logger = logging.getLogger(__name__)


def take_step(claim: Claim, turn: Turn) -> bool:
    """Run the claimed step; say whether the next one is claimed too, which a posted move says when it is collected."""
    turn.share(claim.run)
    turn.steps -= 1
    if not heartbeat.renew_late(claim.run, claim.asked):
        return False
    fence = _fence(claim)
    try:
        with heartbeat.keeping(claim.run), notices.attempt(claim, turn.wanted):
            return _settled(claim, fence, turn, logs.about(claim.run), lambda: _attempt(claim, turn))
    except BaseException as error:  # the worker is made to end, or the database is away
        stopping.give_back(claim.run, {fence, _fence(claim)}, error)
        raise


def _fence(claim: Claim) -> tuple[int, int]:
    return claim.run.sequence, claim.run.attempt


def _settled(claim: Claim, fence: tuple[int, int], turn: Turn, lines: dict[str, Any], move: Callable[[], bool]) -> bool:
    try:
        return _succeed_or_fail(claim, fence, turn, move)
    except StaleClaim:
        turn.rolled_back()
        text = "%s moved on while step %s ran; its result was discarded."
        logger.warning(text, claim.run, lines["step"], extra=lines)
        overtaken.record(claim.run.pk, *fence, claim.watch.now())
        notices.discarded(claim.run)
        return False


def _succeed_or_fail(claim: Claim, fence: tuple[int, int], turn: Turn, move: Callable[[], bool]) -> bool:
    try:
        stays = move()
    except StaleClaim:
        raise
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything
        stays = _settle_failure(claim, fence, call.reason(error), turn)
    turn.committed()
    return stays


def _attempt(claim: Claim, turn: Turn) -> bool:
    run = claim.run
    definition, step = code.of(run)
    _check_attempts(run, definition.retry_of(step))
    claim.context = code.context_of(run, definition)
    if not step.atomic:
        returned = _call(claim, definition, step)
    else:
        with rows.transaction_of_runs():
            returned = _call(claim, definition, step)
            if not vendors.way().is_untouched():
                return _settle(claim, definition, returned, turn)
    # The move is a transaction by itself: the step's own is over, or had nothing in it.
    with rows.savepoint():
        return _settle_by_itself(claim, definition, returned, turn)


def _call(claim: Claim, definition: WorkflowDefinition, step: StepDefinition) -> Returned:
    run, fence = claim.run, _fence(claim)

    def give_up(error: StepTimedOut) -> None:
        heartbeat.let_go(run, *fence)
        with suppress(StaleClaim):
            _settle_failure(replace(claim), fence, error, Turn(queue=None, steps=0))

    place, began = pace.place_of(run), monotonic()
    try:
        return timeouts.run(lambda: call.call(definition, step, run, claim), step.timeout, give_up)
    finally:
        pace.note(place, monotonic() - began)


def _check_attempts(run: WorkflowRun, policy: Retry) -> None:
    if run.attempt <= policy.max_attempts:
        return
    # An attempt whose worker died left no trace but its number: it counts all the same.
    failures = rows.failures_of(run)
    counted = sum(failure.attempts for failure in failures if failure.counts)
    excused = sum(not failure.counts for failure in failures)
    if run.attempt - excused > policy.max_attempts:
        silent = f"{policy.max_attempts - counted} of {policy.max_attempts} attempts"
        raise WorkerLost(
            f"Step {run.current_step!r} was given up: in {silent} its worker gave no sign of life for the lease of"
            f" {settings.LEASE_SECONDS:g} s. It was killed or lost the database, or a call held its interpreter:"
            " for such calls raise DJANGO_AI['LEASE_SECONDS']."
        )


def _settle(claim: Claim, definition: WorkflowDefinition | None, happening: Happening, turn: Turn) -> bool:
    transition = _decide(claim, definition, happening)
    if isinstance(happening, Raised):
        transition = redaction.of_transition(claim.run, transition, claim.context)
    return commit.commit(claim.run, transition, claim.watch.now(), turn=turn)


def _settle_by_itself(claim: Claim, definition: WorkflowDefinition, happening: Returned, turn: Turn) -> bool:
    """Settle a step whose move is a transaction by itself; where there is another run to go on with, by posting it."""
    fence = _fence(claim)
    transition = _decide(claim, definition, happening)
    if turn.pipe is None or not turn.others() or not commit.is_one_statement(transition):
        try:
            return commit.commit(claim.run, transition, claim.watch.now(), turn=turn)
        except (OperationalError, InterfaceError) as error:
            if not rows.was_undone(error):
                raise
        return _settle_locked(claim, fence, happening, turn)  # for which the step need not be run again
    lines = logs.about(claim.run)
    move = commit.prepare(claim.run, transition, claim.watch.now(), turn=turn)

    def finish(write: Callable[[], bool]) -> Claim | None:
        return claim if _settled(claim, fence, turn, lines, write) else None

    if posting.post(turn, Posted(move, claim, fence, finish)):
        return False
    return commit.carry_out_alone(move)


def _decide(claim: Claim, definition: WorkflowDefinition | None, happening: Happening) -> Transition:
    context = happening.context if isinstance(happening, Returned) else None
    state = rows.snapshot(claim.run, definition, context=context)
    if state.silent_attempts:
        # An attempt that was taken for dead may have ended since, and said so.
        claim.run.failures = overtaken.failures_now(claim.run)
        state = _with_silent_attempts(replace(state, failures=rows.failures_of(claim.run)), claim.watch.now())
    claim.asked = monotonic()
    return decide(definition, state, happening, claim.watch.now())


def _with_silent_attempts(state: RunState, now: datetime) -> RunState:
    lost = [
        Failure(attempt=attempt, error=describe(WorkerLost()), traceback="", at=now)
        for attempt in state.silent_attempts
    ]
    return replace(state, failures=coalesce(sorted((*state.failures, *lost), key=lambda failure: failure.attempt)))


def _settle_failure(claim: Claim, fence: tuple[int, int], error: BaseException, turn: Turn) -> bool:
    if not isinstance(error, Exception):
        rows.leave_broken_connection()  # it may have come in the middle of a query
    happening = Raised(error, traceback=kept(traceback_of(error)), chance=random.random())
    stays = _settle_locked(claim, fence, happening, turn)
    notices.raised(claim, told(error, redaction.redactor_of(claim.run, claim.context)))
    return stays


def _settle_locked(claim: Claim, fence: tuple[int, int], happening: Happening, turn: Turn) -> bool:
    def settle() -> bool:
        turn.rolled_back()  # what a try before this one would have brought along
        with rows.transaction_of_runs():
            # A commit that failed at its end has moved the run in memory alone.
            claim.run, claim.watch = rows.lock_existing(claim.run.pk)
            if _fence(claim) != fence or claim.run.status != RUNNING:
                raise StaleClaim
            return _settle(claim, rows.definition_of(claim.run), happening, turn)

    return rows.despite_deadlocks(settle, patience=rows.PATIENCE_SECONDS)
