"""What a task does with its message: it claims the run, and goes on with it while its turn lasts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...conf import settings
from . import dispatch, lanes, moving, stopping
from .turn import Turn


def execute(run_id: int, sequence: int, attempt: int) -> None:
    """Run the step that this message is for, and what follows while the task's turn lasts.

    A message that comes twice or late finds the fence moved and does nothing.
    """
    claim = lanes.take(run_id, sequence, attempt)
    if claim:
        queue, crowded = dispatch.queue_of(claim.run), lanes.is_crowded(claim.run)
        lanes.go_on(claim, Turn(queue=queue, crowded=crowded, after=run_id))
    elif turn := lanes.turn_for_others():
        lanes.go_on(None, turn)


def wake(run_id: int, sequence: int) -> None:
    """End a wait whose time has come, and run what follows. Too early, or too late, does nothing."""
    _move(run_id, moving.wake_up(sequence), lambda run: Turn(queue=dispatch.queue_of(run)))


def deliver(run_id: int) -> None:
    """Hand a run the next message of its inbox, and run what follows."""
    _move(run_id, moving.DELIVERY, lambda run: Turn(queue=settings.QUEUE))


TASKS: dict[str, Callable[..., None]] = {
    dispatch.EXECUTE: execute,
    dispatch.WAKE: wake,
    dispatch.DELIVER: deliver,
}


def several(task: str, queue: str | None, arguments: Sequence[Sequence[Any]]) -> None:
    """Do what several messages ask for; what is not quick leaves the rest to others."""
    turn = Turn(queue=queue, task=task, rest=[tuple(each) for each in arguments])
    if stopping.announced():
        turn.hand_over()
    else:
        lanes.go_on(None, turn)


def _move(run_id: int, decisions: moving.Decisions, turn_of: moving.TurnOf) -> None:
    moved = moving.move(run_id, decisions, turn_of)
    if moved:
        lanes.go_on(moved.claim, moved.turn)
