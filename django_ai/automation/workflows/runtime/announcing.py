"""What a run that stands somewhere new needs next, as messages."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial

from django.db import transaction

from ..machine.commands import WaitKind
from ..machine.statuses import RUNNING
from ..models import Signal, SignalKind, Suspension, WorkflowRun
from . import dispatch, inbox, rows, waits
from .turn import Turn

# For these waits the move's transaction goes on, to find what has come before.
LOOKS_BACK = frozenset({WaitKind.EVENT})


def look_back(run: WorkflowRun, wait: Suspension) -> None:
    """Hand a run that begins to wait what has come before; the caller's transaction has written the wait."""
    if wait.kind == WaitKind.EVENT:
        waits.look_back(run, wait)
    elif wait.kind == WaitKind.SIGNAL:
        # A signal that is not seen then comes, with its delivery, when the wait is there for all to see.
        # One that is never looked for, because this process dies, is delivered by the scheduler.
        transaction.on_commit(partial(_have_kept_delivered, run.pk, wait.name), using=rows.alias(), robust=True)


def _have_kept_delivered(run_id: int, name: str) -> None:
    if inbox.holds(run_id, name):
        dispatch.delivery(run_id)


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
