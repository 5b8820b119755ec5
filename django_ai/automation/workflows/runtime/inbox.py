"""A run's inbox: posting is an INSERT that locks nothing, delivery locks the one run."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from ... import clock, storable
from .. import logs
from ..authoring.methods import SUBFLOW_RESULT
from ..exceptions import ContextInvalid, SignalRejected
from ..machine.commands import WaitKind
from ..machine.decide import decide
from ..machine.definition import WorkflowDefinition
from ..machine.happenings import Answered, Cancelled
from ..machine.state import Transition
from ..machine.statuses import FINAL
from ..models import Signal, SignalKey, SignalKind, SignalState, WorkflowRun
from . import dispatch, rows, vendors
from .rows import Move

logger = logging.getLogger(__name__)

# Rows of one INSERT.
BATCH = 1000

# The errors about a payload that does not fit.
MISFITS = (ContextInvalid, SignalRejected)


def letter(
    run_id: int, kind: SignalKind, now: datetime, *, name: str = "", payload: Mapping[str, Any] | None = None
) -> Signal:
    """Return a message to a run, to be stored by the caller."""
    return Signal(run_id=run_id, kind=kind, name=name, payload=dict(payload or {}), created_at=now, dispatched_at=now)


def post_many(messages: Iterable[Signal], *, key: str | None = None) -> int:
    """Store messages in the inboxes of their runs, in the caller's transaction or an own one; return their number.

    With ``key``, a run that has had a message with this key is left out.
    """
    database = rows.alias()
    messages = list(messages)
    if not messages:
        return 0
    now = clock.recent(database)
    for message in messages:
        message.created_at = message.dispatched_at = now
    if key is None:
        return rows.despite_deadlocks(lambda: _post(messages))
    return rows.despite_deadlocks(lambda: _post_once(messages, key))


def _post(messages: Sequence[Signal]) -> int:
    with vendors.way().transaction(alone=len(messages) <= BATCH, savepoint=True):
        vendors.way().insert(messages, BATCH)
        dispatch.deliveries(message.run_id for message in messages)
    return len(messages)


def _post_once(messages: Sequence[Signal], key: str) -> int:
    posted = 0
    with rows.transaction_of_runs():
        for start in range(0, len(messages), BATCH):
            batch = messages[start : start + BATCH]
            first = _claim_key([message.run_id for message in batch], key)
            new = [message for message in batch if message.run_id in first]
            posted += _post(new) if new else 0
    return posted


def _claim_key(run_ids: Sequence[int], key: str) -> set[int]:
    """Mark the key as used for each of the runs; return the runs that had not used it before."""
    keys = SignalKey.objects.using(rows.alias())
    claims = [SignalKey(run_id=run_id, key=key) for run_id in run_ids]
    # The unique index waits for another sender that has inserted the same key and has not committed yet.
    keys.bulk_create(claims, ignore_conflicts=True)
    mine = keys.filter(pk__in=[claim.pk for claim in claims])
    return set(mine.values_list("run_id", flat=True))


def restore(run: WorkflowRun, now: datetime) -> None:
    """Mark signals that a locked run missed by ending as pending again, since the run goes on."""
    # Only these missed signals name no wait: they were kept for the run's next one.
    kept = Signal.objects.using(rows.alias()).filter(run=run, kind=SignalKind.SIGNAL, sequence__isnull=True)
    kept.filter(state=SignalState.MISSED).update(state=SignalState.PENDING, dispatched_at=now)


def withdraw_end(parent: WorkflowRun, child: WorkflowRun, now: datetime) -> bool:
    """Withdraw a child's end from the inbox of its locked parent, since the child goes on.

    Returns False if the parent has moved since it was read.
    """
    runs = WorkflowRun.objects.using(rows.alias()).filter(pk=parent.pk, status=parent.status)
    # A worker that has peeked at the message moves the parent only if ``updated_at`` is as it was.
    if not runs.filter(sequence=parent.sequence, attempt=parent.attempt).update(updated_at=now):
        return False
    told = Signal.objects.using(rows.alias()).filter(run=parent, kind=SignalKind.CHILD, name=str(child.pk))
    told.filter(state=SignalState.PENDING).update(
        state=SignalState.MISSED, dispatched_at=None, error="The child was retried."
    )
    return True


def orphans() -> QuerySet[Signal]:
    """Return the messages to runs that were deleted, since no constraint of the database deletes them."""
    return Signal.objects.using(rows.alias()).filter(_is_without_run())


def forget(run_ids: Iterable[int]) -> None:
    """Delete the messages of runs that were deleted, with their keys; those of any other run stay."""
    run_ids = list(run_ids)
    orphans().filter(run_id__in=run_ids).delete()
    SignalKey.objects.using(rows.alias()).filter(_is_without_run(), run_id__in=run_ids).delete()


def _is_without_run() -> Q:
    return ~Q(Exists(WorkflowRun.objects.using(rows.alias()).filter(pk=OuterRef("run_id"))))


def deliver(run: WorkflowRun, now: datetime) -> Move | None:
    """Return the move that the next fitting message of a locked run makes; its commit marks the message.

    Messages that can no longer fit are marked missed, a payload that does not fit is rejected; the
    caller commits the move in the same transaction.
    """
    if run.status in FINAL:
        pending = Signal.objects.using(rows.alias()).filter(run=run, state=SignalState.PENDING)
        pending.update(state=SignalState.MISSED, dispatched_at=None)
        return None
    for message in vendors.way().pending(run.pk):
        if message.kind == SignalKind.CANCEL:
            return Move(_cancel(run, message, now), message)
        if _fits(run, message):
            transition = _answer(run, message, now)
            if transition:
                return Move(transition, message)
        elif _comes_too_late(run, message):
            _mark(message, SignalState.MISSED)
        elif _is_for_wait(run, message):
            # Sent before a fresh wait began. With the wait's number `restore` leaves it alone.
            _mark(message, SignalState.MISSED, sequence=run.sequence)
    return None


def first_fits(run: WorkflowRun, message: Signal | None, now: datetime) -> Move | None:
    """Return the move that the first message makes of a run, if it fits; without any effect. Needs no lock."""
    if message is None or not _fits(run, message):
        return None
    definition = rows.definition_of(run)
    if definition is None:
        return None
    try:
        return Move(_answered(definition, run, message, now), message)
    except MISFITS:
        return None  # to be rejected under the lock


def _comes_too_late(run: WorkflowRun, message: Signal) -> bool:
    # A parent waits from the very commit that starts its child: if it does not wait, it has moved on.
    return message.kind == SignalKind.CHILD or message.sequence not in (None, run.sequence)


def marks_of(sequence: int, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what marks a message as delivered at this number of the run's moves, and what it changed."""
    settled = {"state": SignalState.DELIVERED.value, "dispatched_at": None}
    return {**settled, "sequence": sequence, "changes": dict(changes)}


def holds(run_id: int, name: str) -> bool:
    """Say whether a message of this name lies in the run's inbox."""
    return any(str(message.name) == name for message in vendors.way().pending(run_id))


def _fits(run: WorkflowRun, message: Signal) -> bool:
    return _is_for_wait(run, message) and (message.sequence is not None or not _is_stale(run, message))


def _is_for_wait(run: WorkflowRun, message: Signal) -> bool:
    wait = run.waits_for
    if wait is None or wait.kind != message.kind:
        return False
    if message.kind == SignalKind.CHILD:
        return str(message.name) == str(run.active_subworkflow_run_id)
    return str(message.name) == wait.name and message.sequence in (None, run.sequence)


def _is_stale(run: WorkflowRun, message: Signal) -> bool:
    """Return whether a kept signal was sent before the run's wait began, and the wait takes only fresh ones.

    Invariant: a signal counts if its sender saw the wait, which is when the sender read the run after the commit
    that began the wait. A sender with older code did not note the wait that it saw; then the database's clock decides.
    """
    wait = run.waits_for
    if wait is None or message.kind != SignalKind.SIGNAL:
        return False
    accepts = rows.accepts_of(run, wait, rows.definition_of(run))
    if accepts is None or not accepts.fresh:
        return False
    if message.run_sequence is None:
        return message.created_at < wait.created_at
    return message.run_sequence != run.sequence


def _answer(run: WorkflowRun, message: Signal, now: datetime) -> Transition | None:
    definition = rows.definition_of(run)
    if definition is None:
        logger.warning("%s cannot take %s: its workflow is not registered here.", run, message, extra=logs.about(run))
        return None
    try:
        return _answered(definition, run, message, now)
    except MISFITS as error:
        reject(message, error)
        return None


def _answered(definition: WorkflowDefinition, run: WorkflowRun, message: Signal, now: datetime) -> Transition:
    of_child = message.kind == WaitKind.CHILD
    answer = Answered(
        payload={} if of_child else message.payload,
        inputs={SUBFLOW_RESULT: message.payload} if of_child else {},
    )
    return decide(definition, rows.snapshot(run, definition), answer, now)


def _cancel(run: WorkflowRun, message: Signal, now: datetime) -> Transition:
    definition = rows.definition_of(run)
    reason = message.payload.get("reason", "")
    return decide(definition, rows.snapshot(run, definition), Cancelled(reason), now)


def reject(message: Signal, error: Exception) -> None:
    """Let a run go on waiting as if it had not got a message, which does not fit its context."""
    logger.warning("%s is rejected: %s", message, error, extra=logs.fields(run_id=message.run_id))
    _mark(message, SignalState.REJECTED, str(error))


def _mark(message: Signal, state: SignalState, error: str = "", **columns: Any) -> None:
    # Another worker may have delivered it since, when the run had become able to take it.
    still = Signal.objects.using(rows.alias()).filter(pk=message.pk, state=SignalState.PENDING)
    still.update(state=state, error=storable.text(error), dispatched_at=None, **columns)
