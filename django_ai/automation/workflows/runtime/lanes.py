"""How one task goes on with a few runs in turns: while the moves of some are being committed, another one's code runs.

A commit takes the database about as long as a quick step takes the worker, which would wait for it otherwise.
The other runs come with the same message, or are such as wait for a worker anyway: then their own messages,
which come later, find the fence moved. One step's code runs at a time, and never before the move that led
to it is committed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from django.db import Error

from .. import logs
from ..models import WorkflowRun
from . import attempts, dispatch, moving, pace, posting, rows, stopping, vendors
from .turn import Claim, Turn, may_wait

logger = logging.getLogger(__name__)

# One step is run while the moves of some are being committed, and those of others wait to go together next. With
# more, fewer would be left to other workers, and a worker that dies would leave more runs to their leases.
LANES = 6

# So many runs are read at once: of more, some will have moved on before their turn comes.
SEEN_TOGETHER = 10

# When the message of a run has waited for this long, others wait behind it.
CROWDED = timedelta(seconds=0.05)


def take(run_id: int, sequence: int, attempt: int, turn: Turn | None = None) -> Claim | None:
    """Claim a run at this fence: nobody else owns it, or the owner's lease has run out."""
    asked = monotonic()
    run = vendors.way().claim(run_id, sequence, attempt)
    return Claim(run, rows.stopwatch(run), asked) if run else None


def _deliver(run_id: int, turn: Turn) -> Claim | None:
    return _moved(run_id, moving.DELIVERY, turn)


def _wake(run_id: int, sequence: int, turn: Turn) -> Claim | None:
    return _moved(run_id, moving.wake_up(sequence), turn)


def _moved(run_id: int, decisions: moving.Decisions, turn: Turn) -> Claim | None:
    if run_id not in turn.seen and turn.rest:
        together = [run_id, *(each[0] for each in turn.rest[: SEEN_TOGETHER - 1])]
        turn.seen = {seen.run.pk: seen for seen in moving.glances(together)}
    moved = moving.move(run_id, decisions, lambda run: turn, turn.seen.pop(run_id, None))
    return moved.claim if moved else None


# What each message of several asks for, and the claim with which the task goes on then.
BEGINNINGS: dict[str, Callable[..., Claim | None]] = {
    dispatch.EXECUTE: take,
    dispatch.WAKE: _wake,
    dispatch.DELIVER: _deliver,
}


def is_crowded(run: WorkflowRun) -> bool:
    """Say whether a run that was just claimed has waited for its worker, as others do then."""
    claimed_at = rows.stopwatch(run).now()
    return run.dispatched_at is not None and claimed_at - run.dispatched_at > CROWDED


@dataclass(slots=True)
class _Memory:
    """What this process knows from its last turn: in which queue runs wait, and that they follow on this one."""

    queue: str | None = None
    after: int | None = None


_memory = _Memory()


def turn_for_others() -> Turn | None:
    """Return a turn for those whom the last one left behind, None where it left nobody.

    Whoever takes others along is sent their messages too, of which each would cost the worker a wait for the next.
    """
    if _memory.after is None:
        return None
    return Turn(queue=_memory.queue, crowded=True, after=_memory.after)


def forget() -> None:
    """Know of nobody who waits."""
    _memory.after = None


def go_on(claim: Claim | None, turn: Turn) -> None:
    """Run the claimed step and what follows while the turn lasts: in its run, its family, and others meanwhile."""
    if claim is not None:
        turn.lanes.append(claim)
    try:
        while (lane := _next(turn)) is not None:
            _go_on_with(lane, turn)
    except BaseException:  # the worker is made to end, or the database is away
        _leave(turn)
        raise
    finally:
        _memory.queue, _memory.after = turn.queue, turn.after if turn.crowded else None
        if turn.pipe is not None:
            turn.pipe.rest()
        turn.hand_over()


def _next(turn: Turn) -> Claim | int | None:
    while True:
        _fill(turn)
        if turn.lanes:
            return turn.lanes.popleft()
        if not turn.posted:
            return None
        posting.collect(turn)


def _go_on_with(lane: Claim | int, turn: Turn) -> None:
    try:
        claim = lane if isinstance(lane, Claim) else _delivered(lane, turn)
        if claim is not None and attempts.take_step(claim, turn):
            turn.lanes.append(claim)
    except Exception:  # one that cannot be done must not keep the others from it
        turn.rolled_back()
        if not (turn.task or turn.others()):
            raise
        run_id = lane.run.pk if isinstance(lane, Claim) else lane
        text = "Run #%s could not be gone on with; its lease runs out, and the others go on."
        logger.exception(text, run_id, extra=logs.fields(run_id=run_id))
        rows.leave_broken_connection()


def _delivered(run_id: int, turn: Turn) -> Claim | None:
    if turn.lasts():
        return _deliver(run_id, turn)
    dispatch.delivery(run_id)
    return None


def _fill(turn: Turn) -> None:
    """Begin with further runs, while there is room for them and they are there."""
    while _has_room(turn):
        claim = _begin(turn) if turn.rest else _another(turn)
        if claim is None:
            continue
        if turn.others() and not may_wait(pace.place_of(claim.run), claim.run.attempt - 1):
            stopping.release(claim.run)  # it might keep the other one waiting
        else:
            turn.lanes.append(claim)


def _has_room(turn: Turn) -> bool:
    if not turn.others() and turn.rest:
        # But one is done in each turn, however short, or they would go round for ever.
        return turn.lasts() or not turn.has_begun
    if turn.others() >= LANES or not turn.has_steps() or not (turn.rest or (turn.crowded and turn.is_young())):
        return False
    places = [pace.place_of(lane.run) for lane in turn.lanes if isinstance(lane, Claim)]
    return all(map(may_wait, [*places, turn.place] if turn.place else places)) and turn.may_post()


def _begin(turn: Turn) -> Claim | None:
    each = turn.rest.pop(0)
    turn.has_begun = True
    try:
        return BEGINNINGS[turn.task](*each, turn)
    except Exception:  # one that cannot be done must not keep the others from it
        turn.rolled_back()
        text = "%s%s failed; those that came with it go on."
        logger.exception(text, turn.task, each, extra=logs.fields(run_id=each[0]))
        rows.leave_broken_connection()
        return None


def _another(turn: Turn) -> Claim | None:
    asked = monotonic()
    places = [place for place in pace.quick_places() if dispatch.queue_at(*place) == turn.queue and may_wait(place)]
    run = None
    try:
        run = vendors.way().claim_another(places, turn.after) if places else None
    except Error:  # it was an offer
        logger.warning("Could not look for other runs that wait.", exc_info=True, extra=logs.fields())
        rows.leave_broken_connection()
    if run is None:
        turn.crowded = False
        return None
    turn.after = run.pk
    return Claim(run, rows.stopwatch(run), asked)


def _leave(turn: Turn) -> None:
    """Leave the runs whose next step is claimed and not begun to other workers."""
    rows.leave_broken_connection()
    while turn.posted:
        posting.collect(turn)
    for lane in turn.lanes:
        if isinstance(lane, Claim):
            stopping.release(lane.run)
        else:
            dispatch.delivery(lane)
    turn.lanes.clear()
