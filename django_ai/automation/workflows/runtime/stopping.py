"""A worker that is told to stop: its tasks stay with their runs no longer and give back what they hold."""

from __future__ import annotations

import dis
import logging
import mmap
import signal
from collections.abc import Iterable
from datetime import timedelta

from django.db import DatabaseError, Error, connections
from django.db.models import F

from ... import clock
from .. import logs
from ..models import WorkflowRun
from . import dispatch, rows

logger = logging.getLogger(__name__)

# Only the main process of a worker learns that it shall stop. Its pool's processes, forked later than
# this is made, share the byte by which it tells them.
_told = mmap.mmap(-1, 1)

# Celery's pool ends a child by an exception of this code; a step may raise SystemExit by itself.
_ENDED_BY_POOL = {-(256 - number) for number in (signal.SIGTERM, getattr(signal, "SIGQUIT", signal.SIGTERM))}

# Exceptions that end a worker, by their names: Celery's own in the main process, and a green thread's.
_ENDS_OF_WORKERS = {"WorkerShutdown", "WorkerTerminate", "GreenletExit"}

_RAISES = {dis.opmap["RAISE_VARARGS"], dis.opmap["RERAISE"]}

# A lease that ends at this very moment has not run out yet.
_PAST = timedelta(milliseconds=1)


def announce() -> None:
    """Let no task of this worker stay with its run for another step."""
    _told[0] = 1


def withdraw() -> None:
    """Let tasks stay again: a worker starts."""
    _told[0] = 0


def announced() -> bool:
    """Say whether this worker shall stop."""
    return _told[0] != 0


def is_shutdown(error: BaseException) -> bool:
    """Return whether an exception came from outside to end the worker, and not from the step's own code."""
    if isinstance(error, BaseExceptionGroup):
        return any(is_shutdown(inner) for inner in error.exceptions)
    if isinstance(error, KeyboardInterrupt):
        return not _is_raised_by_code(error)
    by_pool = isinstance(error, SystemExit) and error.code in _ENDED_BY_POOL
    return by_pool or type(error).__name__ in _ENDS_OF_WORKERS


def _is_raised_by_code(error: BaseException) -> bool:
    """Return whether a ``raise`` raised it: Ctrl-C comes between any two other instructions."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_code[trace.tb_lasti] in _RAISES


def release(run: WorkflowRun) -> None:
    """Leave a claimed step that was not begun to other workers, as if it had not been claimed."""
    try:
        held = WorkflowRun.objects.using(rows.alias()).filter(
            pk=run.pk, sequence=run.sequence, attempt=run.attempt, lease_until__isnull=False
        )
        if held.update(lease_until=None, attempt=run.attempt - 1, dispatched_at=clock.now()):
            run.attempt -= 1
            dispatch.step(run)
    except Error:  # then the lease runs out by itself
        logger.warning("Could not release run #%s.", run.pk, exc_info=True, extra=logs.about(run))


def give_back(run: WorkflowRun, fences: Iterable[tuple[int, int]], error: BaseException) -> None:
    """End the lease of a claim whose step was broken off, so that the next tick gives it to another worker.

    The attempt does not count where the pool broke it off. Call it when the exception has left the
    step and its transaction.

    Args:
        run: the run that was claimed.
        fences: each (sequence, attempt) at which the claim may stand.
        error: what broke the step off.
    """
    counts = not (isinstance(error, SystemExit) and error.code in _ENDED_BY_POOL)
    try:
        connection = connections[rows.alias()]
        if not connection.in_atomic_block:
            connection.close()  # the exception may have come in the middle of a query
        for sequence, attempt in fences:
            held = WorkflowRun.objects.using(rows.alias()).filter(
                pk=run.pk, sequence=sequence, attempt=attempt, lease_until__isnull=False
            )
            if held.update(lease_until=clock.now() - _PAST, attempt=F("attempt") - (0 if counts else 1)):
                return  # with an attempt less it might be at the other fence
    except DatabaseError:  # then the lease runs out by itself
        logger.warning("Could not give back run #%s.", run.pk, exc_info=True, extra=logs.about(run))
