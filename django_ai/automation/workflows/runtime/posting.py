"""Moves that are being committed while the task does something else: they are posted, and collected later."""

from __future__ import annotations

import logging

from .. import logs
from . import commit, heartbeat, rows, stopping, vendors
from .turn import Posted, Turn

logger = logging.getLogger(__name__)


def post(turn: Turn, posted: Posted) -> bool:
    """Have a prepared move committed meanwhile; say whether that is under way."""
    if turn.pipe is None or not vendors.way().send(turn.pipe, posted.move.writes):
        return False
    turn.posted.append(posted)
    heartbeat.keep(posted.claim.run, *posted.fence)
    return True


def collect(turn: Turn) -> None:
    """Wait until the oldest posted move is committed, and go on with its run if its next step is claimed."""
    posted = turn.posted.popleft()
    run = posted.claim.run
    try:
        claim = posted.finish(lambda: _written(posted, turn))
    except Exception:
        turn.rolled_back()
        logger.exception("The move of %s could not be settled; its lease runs out.", run, extra=logs.about(run))
        rows.leave_broken_connection()
    except BaseException as error:  # the worker is made to end
        stopping.give_back(run, {posted.fence, (posted.claim.run.sequence, posted.claim.run.attempt)}, error)
        raise
    else:
        if claim is not None:
            turn.lanes.append(claim)
    finally:
        heartbeat.let_go(run, *posted.fence)


def _written(posted: Posted, turn: Turn) -> bool:
    move, pipe = posted.move, turn.pipe
    if pipe is not None and pipe.awaited != len(turn.posted) + 1:
        pipe.close()  # somebody was broken off between a statement and its answer: the next may be another one's
    if pipe is None or not pipe.answer():
        return commit.carry_out_alone(move)  # which raises the error again
    move.announce()
    return move.claims
