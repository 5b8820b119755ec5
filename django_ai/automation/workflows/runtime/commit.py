"""The commit of a Transition: the only place where a run's workflow state changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from ...conf import settings
from ..exceptions import CommitUnknown, StaleClaim
from ..machine.changes import Changes, between
from ..machine.keys import key_of
from ..machine.state import Transition
from ..machine.statuses import COMPLETED, FINAL
from ..models import Signal, SignalKind, Suspension, WorkflowRun
from . import announcing, columns, creating, history, inbox, notices, redaction, rows, vendors
from .turn import Turn
from .writes import NewRow, Writes

ACTIVE_CHILD_FIELD = "active_subworkflow_run_id"

# Columns that every move changes; together they tell two moves of a run apart.
MOVED = ("status", "sequence", "attempt", "lease_until", "updated_at")

# Columns that heartbeats and the scheduler write too, so a run in memory may be out of date in them.
SHARED = {"lease_until", "dispatched_at", "updated_at"}


def rewrite(run: WorkflowRun, context: BaseModel, now: datetime) -> Changes:
    """Replace the context of a locked run that no worker has; the run does not move. Return what changed.

    Raises:
        ContextInvalid, ContextTooLarge: the context cannot be stored.
    """
    data = columns.data_of(context)
    changes = between(run.data, data, settings.MAX_CHANGE_BYTES)
    new: dict[str, Any] = {"data": data, "updated_at": now}
    if run.lease_until is not None:
        # Whoever posted a form and was thought dead must not bring the old context back.
        new |= {"attempt": run.attempt + 1, "lease_until": None}
    if not vendors.way().write(Writes(run=run, fence=_fence(run), columns=new)):
        raise StaleClaim
    _move_in_memory(run, new)
    rows.set_witness(lambda: was_written(run))
    return changes


def commit(
    run: WorkflowRun,
    transition: Transition,
    now: datetime,
    *,
    message: Signal | None = None,
    turn: Turn | None = None,
    unlocked: bool = False,
) -> bool:
    """Move ``run`` in the caller's transaction, or in one of its own; what it needs next is sent when that commits.

    Args:
        run: the row as it was read; moved along with the database.
        now: the database's time.
        message: the message of the run's inbox that makes the move, which is marked as delivered.
        turn: the task's turn, which takes on what it may do itself, so that no message is sent.
        unlocked: the run was read without a lock or a claim, so somebody may also have edited it since.

    Returns whether the turn takes on the run's next step: it is claimed for the caller.

    Raises:
        StaleClaim: the run is no longer where ``run`` says; nothing was changed.
        ContextInvalid, ContextTooLarge: what the step left behind cannot be stored.
    """
    move: Prepared | None = None
    try:
        with vendors.way().transaction(alone=is_one_statement(transition)):
            move = prepare(run, transition, now, message=message, turn=turn, unlocked=unlocked)
            return carry_out(move)
    except CommitUnknown:
        if move is None:
            raise
    return carry_out_alone(move)


def is_one_statement(transition: Transition) -> bool:
    """Say whether a move is written by one statement, where the database has such."""
    wait = transition.suspension
    if wait and wait.kind in announcing.LOOKS_BACK:
        return False
    return transition.child is None or not creating.waits_first(transition.child)


def carry_out(move: Prepared) -> bool:
    """Write a move in the caller's transaction, or as one by itself, and announce it; say what ``commit`` says.

    Invariant: a committed move is announced, also if the connection was lost before the answer: then the run is read,
    and the move counts as committed if the run is where the move leads.

    Raises:
        StaleClaim: as ``commit``.
    """
    if not vendors.way().write(move.writes):
        raise StaleClaim
    rows.set_witness(lambda: was_written(move.run))
    move.announce()
    return move.claims


def carry_out_alone(move: Prepared) -> bool:
    """Write a move that is one statement as a transaction by itself, as ``carry_out`` does.

    It may have been written by an earlier try whose answer was lost.
    """
    try:
        return rows.despite_deadlocks(lambda: _try_alone(move))
    except StaleClaim:
        if not was_written(move.run):
            raise
    move.announce()
    return move.claims


def _try_alone(move: Prepared) -> bool:
    try:
        with vendors.way().transaction(alone=True):
            return carry_out(move)
    except CommitUnknown as error:  # repeating it is safe, since the fence keeps it from being written twice
        raise error.__cause__ or error from None


def was_written(moved: WorkflowRun) -> bool:
    """Return whether a move was committed: whether the row has the columns that the move gave the run in memory.

    Reads under a lock, which waits for the move's own transaction if the server has not ended it yet.
    """

    def read() -> WorkflowRun | None:
        with rows.transaction_of_runs():
            return vendors.way().lock(moved.pk)

    run = rows.despite_deadlocks(read, patience=rows.PATIENCE_SECONDS)
    return run is not None and all(getattr(run, name) == getattr(moved, name) for name in MOVED)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A move that is yet to be written; ``run`` is in memory already where it leads.

    Attributes:
        left: where the run was.
        claims: whether the turn takes on the run's next step.
    """

    run: WorkflowRun
    transition: Transition
    now: datetime
    turn: Turn | None
    left: history.Left
    wait: Suspension | None
    letters: Sequence[Signal]
    writes: Writes
    child: creating.Child | None
    claims: bool

    def announce(self) -> None:
        """Have sent and told, when the transaction commits, what follows from the move, which is written."""
        if self.child is not None:
            self.child.announce(self.now, self.turn)
        announcing.have_delivered(self.letters, self.turn)
        if self.wait is not None:
            announcing.look_back(self.run, self.wait)
            announcing.have_woken(self.run, self.wait, self.now)
        if not self.claims:
            announcing.have_run([self.run])
        wanted = self.turn.wanted if self.turn else notices.wanted_now()
        notices.moved(self.left, self.run, self.transition, self.now, wanted)


def prepare(
    run: WorkflowRun,
    transition: Transition,
    now: datetime,
    *,
    message: Signal | None = None,
    turn: Turn | None = None,
    unlocked: bool = False,
) -> Prepared:
    """Return the move that ``commit`` makes, as what is to be written.

    Raises:
        ContextInvalid, ContextTooLarge: as ``commit``.
    """
    transition = redaction.of_transition(run, transition)
    fence = _fence(run, unlocked=unlocked)
    claim = turn is not None and turn.stays(run.name, run.version, transition)
    child = creating.prepare_child(run, transition.child, now, turn) if transition.child else None
    new = {**columns.of_run(transition, now, claim=claim), **_context_columns(transition, child)}
    left = history.Left.behind(run, new, overdue=transition.is_overdue)
    # An earlier attempt, whose worker seemed dead, may have written its end to the row since it was read.
    shared = SHARED | {"failures"} if run.attempt > 1 else SHARED
    changed = {name: value for name, value in new.items() if name in shared or getattr(run, name) != value}
    _move_in_memory(run, changed)
    wait = columns.of_wait(
        run, transition.suspension, now, led_from=left.visit_started_at or now, visit=left.visit(transition)
    )
    letters = _letters(run, transition, now)
    writes = Writes(
        run=run,
        fence=fence,
        columns=changed,
        ends_wait=left.wait is not None,
        rows=[
            *(child.rows if child else ()),
            *history.rows_of(run, left, transition, message, now),
            *(NewRow.of(row) for row in ([wait, *letters] if wait else letters)),
        ],
        message=message,
        marks=inbox.marks_of(left.sequence, left.changes),
    )
    return Prepared(run, transition, now, turn, left, wait, letters, writes, child, claim)


def _fence(run: WorkflowRun, *, unlocked: bool = False) -> dict[str, Any]:
    fence = {"status": run.status, "sequence": run.sequence, "attempt": run.attempt}
    # An edit moves nothing, but whoever read the run before it would bring the old context back.
    return {**fence, "updated_at": run.updated_at} if unlocked else fence


def _context_columns(transition: Transition, child: creating.Child | None) -> dict[str, Any]:
    new: dict[str, Any] = {}
    if transition.context is not None:
        new["data"] = columns.data_of(transition.context)
    if child is not None:
        new[ACTIVE_CHILD_FIELD] = child.run.pk
        if transition.context is not None and ACTIVE_CHILD_FIELD in type(transition.context).model_fields:
            new["data"][key_of(type(transition.context), ACTIVE_CHILD_FIELD)] = child.run.pk
    return new


def _move_in_memory(run: WorkflowRun, columns: Mapping[str, Any]) -> None:
    for name, value in columns.items():
        setattr(run, name, value)
    run._state.fields_cache.pop("suspension", None)


def _letters(run: WorkflowRun, transition: Transition, now: datetime) -> list[Signal]:
    """Return what the run's move tells its child and its parent."""
    letters = []
    if transition.gives_up_child and run.active_subworkflow_run_id:
        reason = {"reason": _orphaned(run)}
        letters.append(inbox.letter(run.active_subworkflow_run_id, SignalKind.CANCEL, now, payload=reason))
    if transition.status in FINAL and run.parent_run_id:
        result = _result(run)
        letters.append(inbox.letter(run.parent_run_id, SignalKind.CHILD, now, name=str(run.pk), payload=result))
    return letters


def _orphaned(run: WorkflowRun) -> str:
    return f"The parent run #{run.pk} ({run.name}) no longer waits for this run."


def _result(run: WorkflowRun) -> dict[str, Any]:
    succeeded = run.status == COMPLETED
    return {
        "run_id": run.pk,
        "workflow": run.name,
        "version": run.version,
        "status": "completed" if succeeded else "failed",
        "error": None if succeeded else run.error or f"The run was {run.status}.",
        "data": run.data,
    }
