"""Tells listeners what happens to runs, once it has committed: signals, logs, traces and metrics hang on here."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any

from django.db import transaction

from .. import logs
from ..machine.commands import WaitKind
from ..machine.definition import WorkflowDefinition
from ..machine.state import Transition
from ..machine.statuses import CANCELLED, COMPLETED, FAILED, RUNNING
from ..models import WorkflowRun
from . import rows
from .hearing import NONE, Claimed, Kind, Listener, Notice
from .history import Left

logger = logging.getLogger(__name__)


listeners: list[Listener] = []


def started(runs: Sequence[WorkflowRun], transitions: Iterable[Transition], now: datetime) -> None:
    """Tell of new runs when the caller's transaction commits."""
    wanted = wanted_now()
    if wanted:
        told = [
            notice
            for run, transition in zip(runs, transitions, strict=True)
            for notice in _of_start(run, transition, now)
            if notice.kind in wanted
        ]
        _tell_after_commit(told)


def trace_context(definition: WorkflowDefinition) -> str:
    """Return what listeners want a new run to keep, or an empty text."""
    for listener in listeners:
        with _HARMLESS:
            if kept := listener.trace_context(definition):
                return kept
    return ""


def moved(left: Left, run: WorkflowRun, transition: Transition, now: datetime, wanted: frozenset[Kind]) -> None:
    """Tell how a run moved when the caller's transaction commits, as far as that is ``wanted``."""
    if wanted:
        _tell_after_commit([notice for notice in of_move(left, run, transition, now) if notice.kind in wanted])


def of_move(left: Left, run: WorkflowRun, transition: Transition, now: datetime) -> Iterator[Notice]:
    """Yield what a move means, in the order in which it is told."""
    at_step = partial(Notice, run=run, step=left.step, attempt=left.attempt, at=now)
    of_run = partial(Notice, run=run, step=transition.step, attempt=transition.attempt, at=now)
    record, wait, ended = transition.record, transition.suspension, _ENDS.get(transition.status)
    if left.status == FAILED:
        yield of_run(kind=Kind.RUN_RETRIED)
    if left.wait and _is_wait(left.wait) and transition.status is not CANCELLED:
        yield of_run(kind=Kind.RUN_RESUMED, wait=left.wait, began_at=left.wait.created_at)
    if record:
        kind = Kind.STEP_FAILED if record.status is FAILED else Kind.STEP_COMPLETED
        yield at_step(
            kind=kind, step=record.step, began_at=left.visit_started_at, error=record.error, raised=_raised(transition)
        )
    elif left.status == RUNNING and transition.failures:
        yield at_step(kind=Kind.STEP_RETRIED, wait=wait, error=transition.failures[-1].error, raised=True)
    if _is_wait(wait):
        yield of_run(kind=Kind.RUN_SUSPENDED, wait=wait)
    if ended:
        yield of_run(kind=ended, began_at=run.created_at, error=transition.error, raised=_raised(transition))


_ENDS = {COMPLETED: Kind.RUN_COMPLETED, FAILED: Kind.RUN_FAILED, CANCELLED: Kind.RUN_CANCELLED}


def _of_start(run: WorkflowRun, transition: Transition, now: datetime) -> Iterator[Notice]:
    new = partial(Notice, run=run, step=transition.step, attempt=0, at=now)
    yield new(kind=Kind.RUN_STARTED)
    if transition.suspension:
        yield new(kind=Kind.RUN_SUSPENDED, wait=transition.suspension)


def _is_wait(wait: Any) -> bool:
    # The pause before another attempt is part of the step.
    return wait is not None and wait.kind != WaitKind.RETRY


def _raised(transition: Transition) -> bool:
    return bool(transition.record and transition.status is FAILED and transition.record.failures)


class attempt:  # noqa: N801 - used as a function
    """Surround the attempt of a step with what listeners want there, and tell that it started.

    Enter it when the claim has committed and before the step's own transaction begins.
    """

    __slots__ = ("_around", "_claim", "_token", "_wanted")

    def __init__(self, claim: Claimed, wanted: frozenset[Kind] | None = None) -> None:
        self._claim = claim
        self._wanted = wanted_now() if wanted is None else wanted
        self._around: ExitStack | None = None

    def __enter__(self) -> None:
        run = self._claim.run
        self._token = logs.running.set(logs.about(run))
        for listener in listeners:
            with _HARMLESS:
                self._surround(listener.around(self._claim))
        if Kind.STEP_STARTED in self._wanted:
            _tell([_of_attempt(run, self._claim.watch.now())])

    def _surround(self, context: AbstractContextManager[object] | None) -> None:
        if context is not None:
            self._around = self._around or ExitStack()
            self._around.enter_context(context)

    def __exit__(self, *reason: object) -> None:
        logs.running.reset(self._token)
        if self._around is not None:
            with _HARMLESS:
                self._around.__exit__(*reason)  # type: ignore[arg-type]


def _of_attempt(run: WorkflowRun, now: datetime) -> Notice:
    return Notice(kind=Kind.STEP_STARTED, run=copy.copy(run), step=run.current_step, attempt=run.attempt, at=now)


def raised(claim: Claimed, error: BaseException) -> None:
    """Hand listeners the exception of an attempt, when its failure has been settled."""
    for listener in listeners:
        with _HARMLESS:
            listener.raised(claim, error)


def discarded(run: WorkflowRun) -> None:
    """Tell listeners that the result of a step came too late."""
    for listener in listeners:
        with _HARMLESS:
            listener.discarded(run)


def lost(runs: Sequence[WorkflowRun]) -> None:
    """Tell, when the caller's transaction commits, that the workers of these runs went silent."""
    if runs:
        transaction.on_commit(partial(_tell_lost, runs), using=rows.alias(), robust=True)


def _tell_lost(runs: Sequence[WorkflowRun]) -> None:
    for run in runs:
        for listener in listeners:
            with _HARMLESS:
                listener.lost(run)


def ticked(*, resent: int, redelivered: int) -> None:
    """Tell listeners what a pass of the scheduler sent again."""
    for listener in listeners:
        with _HARMLESS:
            listener.ticked(resent, redelivered)


def wanted_now() -> frozenset[Kind]:
    """Return what some listener wants to hear of. A task asks once: it costs more than what else a step tells."""
    wanted = NONE
    for listener in listeners:
        kinds = listener.wants()
        if kinds:
            wanted = wanted | kinds if wanted else kinds
    return wanted


def _tell_after_commit(notices: Sequence[Notice]) -> None:
    if notices:
        # A further move in this transaction must not show in what is told of this one.
        kept = [replace(notice, run=copy.copy(notice.run)) for notice in notices]
        transaction.on_commit(partial(_tell, kept), using=rows.alias(), robust=True)


def _tell(notices: Iterable[Notice]) -> None:
    for notice in notices:
        for listener in listeners:
            with _HARMLESS:
                if notice.kind in listener.wants():
                    listener.hear(notice)


class _Harmless:
    """Logs what a listener raises; a class, since a generator costs ten times as much."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        logger.error("A listener failed; the run goes on.", exc_info=error)
        return True


_HARMLESS = _Harmless()
