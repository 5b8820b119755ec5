"""What a run that stands somewhere new needs next, as messages."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ..machine.commands import WaitKind
from ..machine.statuses import RUNNING
from ..models import Signal, SignalKind, Suspension, WorkflowRun
from . import dispatch, inbox, waits
from .turn import Turn

# What a run waits for may have come before it waits; it is looked for when the wait is there.
LOOKS_BACK = frozenset({WaitKind.SIGNAL, WaitKind.EVENT})


def look_back(run: WorkflowRun, wait: Suspension) -> None:
    """Hand a run that begins to wait what has come before; the caller's transaction has written the wait."""
    if wait.kind == WaitKind.EVENT:
        waits.look_back(run, wait)
    # The row is locked by now, so a signal that is not seen here comes, with its delivery, after us.
    elif wait.kind == WaitKind.SIGNAL and inbox.holds(run, wait.name):
        dispatch.delivery(run.pk)


def have_run(runs: Iterable[WorkflowRun]) -> None:
    """Ask for workers for those runs that want one."""
    dispatch.steps(run for run in runs if run.status == RUNNING)


def have_woken(run: WorkflowRun, wait: Suspension, now: datetime) -> None:
    """Ask for the run to be woken when its wait ends by the clock."""
    if wait.due_at:
        dispatch.timer(run, wait.due_at - now)


def have_delivered(letters: Iterable[Signal], turn: Turn | None) -> None:
    """Ask for messages between a parent and its child to be handed over; the turn takes on a parent."""
    for letter in letters:
        if turn is not None and turn.lasts() and letter.kind == SignalKind.CHILD:
            turn.take_on(letter.run_id)
        else:
            dispatch.delivery(letter.run_id)
