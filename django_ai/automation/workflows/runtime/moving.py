"""The move of a run that waits: its answer has come, or its time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from time import monotonic
from typing import NamedTuple

from django.db import InterfaceError, OperationalError

from ..exceptions import ContextInvalid, StaleClaim
from ..machine.decide import decide
from ..machine.happenings import Due
from ..models import Signal, WorkflowRun
from . import commit, dispatch, inbox, posting, rows, vendors
from .turn import Claim, Glance, Posted, Turn

TurnOf = Callable[[WorkflowRun], Turn]


class Decisions(NamedTuple):
    """How to decide on the move of a run that waits.

    Attributes:
        at_a_glance: from the run and the first message of its inbox as they were read, without a lock. It
            has no effects of its own, and returns None where the lock has to be had.
        locked: from the run as it is, while nobody else can move it.
    """

    at_a_glance: Callable[[WorkflowRun, Signal | None, datetime], rows.Move | None]
    locked: Callable[[WorkflowRun, datetime], rows.Move | None]


DELIVERY = Decisions(at_a_glance=inbox.first_fits, locked=inbox.deliver)


def wake_up(sequence: int) -> Decisions:
    """Return how the end of the wait of this number is decided on, when its time has come."""
    return Decisions(
        at_a_glance=lambda run, message, now: due(run, now, sequence) if _is_due(run, now) else None,
        locked=lambda run, now: due(run, now, sequence),
    )


class Moved(NamedTuple):
    """What became of a move: the task's turn, and the claim of the step that follows if it is done here."""

    turn: Turn
    claim: Claim | None


def move(run_id: int, decisions: Decisions, turn_of: TurnOf, glance: Glance | None = None) -> Moved | None:
    """Commit the move that is decided on for a run, if there is one, and return what became of it.

    ``glance`` is the run as it was read before, if it was. A move that the turn posts claims nothing yet.
    """
    return _move_at_a_glance(run_id, decisions, turn_of, glance) or _move_locked(run_id, decisions, turn_of)


def _move_at_a_glance(run_id: int, decisions: Decisions, turn_of: TurnOf, glance: Glance | None = None) -> Moved | None:
    """Read the run, and move it if it is still as it was read: two round trips, and no lock between them.

    Most moves have no rival. Where one has, or there is anything else to do than to move, the lock decides.
    """
    seen = glance or next(iter(glances([run_id])), None)
    if seen is None:
        return None
    move = decisions.at_a_glance(seen.run, seen.message, seen.watch.now())
    if move is None:
        return None
    turn, claim = turn_of(seen.run), Claim(seen.run, seen.watch, seen.asked)
    run, transition, now = seen.run, move.transition, seen.watch.now()
    try:
        if turn.posts(run, transition) and commit.is_one_statement(transition):
            prepared = commit.prepare(run, transition, now, message=move.message, turn=turn, unlocked=True)
            return _post(prepared, claim, decisions, turn)
        with rows.savepoint():
            stays = commit.commit(run, transition, now, message=move.message, turn=turn, unlocked=True)
        turn.committed()
    except (StaleClaim, ContextInvalid):
        return None
    except (OperationalError, InterfaceError) as error:
        turn.rolled_back()
        if not rows.was_undone(error):
            raise
        return None  # a rival, or a connection that is replaced
    return Moved(turn, claim if stays else None)


def _post(move: commit.Prepared, claim: Claim, decisions: Decisions, turn: Turn) -> Moved:
    def finish(write: Callable[[], bool]) -> Claim | None:
        try:
            stays = write()
        except (StaleClaim, ContextInvalid):
            moved = _move_locked(claim.run.pk, decisions, lambda run: turn)
            return moved.claim if moved else None
        turn.committed()
        return claim if stays else None

    fence = (move.left.sequence, move.left.attempt)
    if posting.post(turn, Posted(move, claim, fence, finish)):
        return Moved(turn, None)
    return Moved(turn, finish(lambda: commit.carry_out_alone(move)))


def glances(run_ids: Sequence[int]) -> list[Glance]:
    """Read runs that wait, each with the first message of its inbox, without a lock; those that do not are left out."""
    asked = monotonic()
    found = rows.despite_deadlocks(lambda: vendors.way().glances(run_ids))
    return [Glance(run, message, rows.stopwatch(run), asked) for run, message in found]


def _move_locked(run_id: int, decisions: Decisions, turn_of: TurnOf) -> Moved | None:
    return rows.despite_deadlocks(lambda: _lock_and_move(run_id, decisions, turn_of))


def _lock_and_move(run_id: int, decisions: Decisions, turn_of: TurnOf) -> Moved | None:
    while True:
        move, turn = None, None
        asked = monotonic()
        try:
            with rows.transaction_of_runs():
                run = vendors.way().lock(run_id)
                if run is None:
                    inbox.forget([run_id])
                    return None
                watch = rows.stopwatch(run)
                move = decisions.locked(run, watch.now())
                if move is None:
                    return None
                turn = turn_of(run)
                stays = commit.commit(run, move.transition, watch.now(), message=move.message, turn=turn)
            turn.committed()
            return Moved(turn, Claim(run, watch, asked) if stays else None)
        except (OperationalError, InterfaceError):
            if turn is not None:
                turn.rolled_back()
            raise
        except ContextInvalid as error:
            if move is None or move.message is None:
                raise
            inbox.reject(move.message, error)  # and look for the next one, which it would keep from coming


def _is_due(run: WorkflowRun, now: datetime) -> bool:
    wait = run.waits_for
    return wait is not None and wait.due_at is not None and wait.due_at <= now


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
