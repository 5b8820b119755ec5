"""The testing kit: the engine's own claim, commit and scheduler code, driven by the test."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

import time_machine
from django.db.models import Min, Model, QuerySet
from django.test import TestCase
from django.utils import timezone

from .. import broker, clock, storable
from ..events import announcing
from ..events import scheduler as events
from ..events.models import Event
from ..workflows.machine.commands import CLOCKS, WaitKind
from ..workflows.machine.statuses import FAILED, FINAL
from ..workflows.models import EventBurst, Suspension, WorkflowRun
from ..workflows.runtime import bursts, childless, dispatch, notices, rows, scheduler, waits, worker
from ..workflows.runtime.engine import engine
from ..workflows.runtime.hearing import Claimed, Listener
from . import forgotten

Message = tuple[str, tuple[Any, ...], float]

_TASKS: dict[str, Callable[..., object]] = {
    **worker.TASKS,
    dispatch.SEVERAL: worker.several,
    announcing.OCCUR: events.occur,
}

# A workflow that is still busy after this many messages goes round in circles.
MOST_MESSAGES = 100_000

# For how many sleeps and pauses ``finish`` moves the clock on.
MOST_PAUSES = 1_000


class Workflows:
    """Drives all workflows of a test; get one from the fixture ``workflows`` or ``workflow_testing()``."""

    def __init__(self, traveller: time_machine.Traveller, errors: Errors) -> None:
        self._traveller = traveller
        self._queue: deque[Message] = deque()
        self._errors = errors

    def publish(self, task: str, args: tuple[Any, ...], countdown: float = 0, **_: Any) -> None:
        """Take a message in place of the broker. What has a countdown is the clock's to bring."""
        if not countdown:
            self._queue.append((task, args, countdown))

    def drain(self) -> int:
        """Run all that is due now, children and signals included; return how many messages that took.

        Raises:
            RuntimeError: a workflow never comes to rest.
        """
        handled, before = 0, None
        while True:
            self._look()
            # What comes back unchanged cannot be handled here, such as a message for code that is gone.
            found = {(task, repr(args)) for task, args, _ in self._queue}
            if not found or found == before:
                self._queue.clear()
                return handled
            before = found
            while self._queue:
                task, args, _ = self._queue.popleft()
                with _commits():
                    _TASKS[task](*args)
                handled += 1
                if handled > MOST_MESSAGES:
                    raise RuntimeError(f"Still busy after {MOST_MESSAGES:,} messages; the last was {task}{args}.")

    def advance(self, delta: timedelta) -> None:
        """Move the clock, of the engine and of ``timezone.now``, and run what falls due on the way, in order.

        Args:
            delta: by how much; not negative.
        """
        if delta < timedelta(0):
            raise ValueError("Time does not run backwards: advance() takes a positive timedelta.")
        if delta > storable.LONGEST_PAUSE:
            raise ValueError("advance() takes a timedelta of at most a thousand years.")
        target = timezone.now() + delta
        self.drain()
        self._travel(target)

    def _travel(self, target: datetime) -> None:
        while timezone.now() < target:
            moment = _next_moment(after=timezone.now())
            self._traveller.move_to(target if moment is None else min(moment, target))
            self.drain()

    def run(self, workflow: str | type, /, *args: Any, **kwargs: Any) -> WorkflowRun:
        """Start a run as ``engine.start`` does, run it to its end as ``finish`` does, and return it."""
        return self.finish(engine.start(workflow, *args, **kwargs))

    def finish(self, run: WorkflowRun) -> WorkflowRun:
        """Run a run to its end, its children included, and return it as it is then; ``run`` itself is refreshed.

        The clock moves on past sleeps and the pauses between attempts. It does not move on to a time-out.

        Raises:
            AssertionError: the run waits for somebody's answer, or sleeps again after a thousand sleeps.
            Exception: the run failed by this exception of a step; it has the step's traceback. A run that
                ``fail()`` or a time-out ended is returned.
        """
        self.drain()
        run.refresh_from_db()
        pauses = 0
        while run.status not in FINAL:
            last = _innermost(run)
            pauses += 1
            if pauses > MOST_PAUSES:
                raise AssertionError(
                    f"{run} has not ended after {MOST_PAUSES:,} sleeps and pauses, the last at step"
                    f" {last.current_step!r}. Bring about what it looks for, or advance() as far as the test needs."
                )
            wait = last.waits_for
            if wait is None or wait.kind not in CLOCKS or wait.due_at is None or wait.due_at <= timezone.now():
                raise AssertionError(_unfinished(run, last))
            self._travel(wait.due_at)
            run.refresh_from_db()
        error = self._errors.of(run)
        if error is not None:
            raise error
        return run

    def _look(self) -> None:
        # In a TestCase nothing ever commits, so the messages come from where a real scheduler has
        # them after a crash of the broker: from the rows.
        with _commits():
            events.occur_due()
        with _commits():
            bursts.start_due()
            waits.catch_up()
            scheduler.wake_due(age=timedelta(0))
        with _commits():
            scheduler.resend_steps(age=timedelta(0))
            scheduler.resend_deliveries(age=timedelta(0))
        if not self._queue:
            with _commits():
                childless.tell_all()


class Errors(Listener):
    """Keeps, of each run that failed, the exception of its step."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[int, BaseException]] = {}

    def raised(self, claim: Claimed, error: BaseException) -> None:
        """Take the exception of an attempt; the last one is why the run failed."""
        run = claim.run
        if run.status == FAILED:
            self._found[run.pk] = run.sequence, error

    def of(self, run: WorkflowRun) -> Exception | None:
        """Return the exception by which a run failed, or None where no exception is the reason."""
        sequence, error = self._found.get(run.pk, (-1, None))
        if error is None or run.status != FAILED or sequence != run.sequence:
            return None
        if not isinstance(error, Exception):  # such as SystemExit, which is not to end the test's process
            reason, error = error, AssertionError(f"{run} failed: {run.error}")
            error.__cause__ = reason
        error.add_note(f"{run} failed at step {run.current_step!r}.")
        return error


@contextmanager
def _listening(errors: Errors) -> Iterator[None]:
    notices.listeners.append(errors)
    try:
        yield
    finally:
        notices.listeners.remove(errors)


def _innermost(run: WorkflowRun) -> WorkflowRun:
    """Return the run, or the child at the end of the chain of children that it waits for."""
    wait = run.waits_for
    while wait is not None and wait.kind == WaitKind.CHILD and run.active_subworkflow_run_id:
        run = WorkflowRun.objects.using(rows.alias()).get(pk=run.active_subworkflow_run_id)
        wait = run.waits_for
    return run


def _unfinished(run: WorkflowRun, last: WorkflowRun) -> str:
    wait = last.waits_for
    what = f"{wait.kind} {wait.name!r}" if wait else "code that is not here"
    where = "" if last.pk == run.pk else f" of its child {last}"
    return (
        f"{run} has not ended: step {last.current_step!r}{where} waits for the {what}."
        " Send what it waits for, or advance() to the time-out, then finish() it."
    )


def _commits() -> Any:
    # Runs on_commit callbacks inside the transaction that a TestCase wraps around a test.
    return TestCase.captureOnCommitCallbacks(using=rows.alias(), execute=True)


def _next_moment(after: datetime) -> datetime | None:
    # Later than now: what is due already has been tried.
    dues = ((Suspension, "due_at"), (EventBurst, "due_at"), (Event, "next_due_at"))
    moments = [_earliest(model, column, after) for model, column in dues]
    return min((moment for moment in moments if moment is not None), default=None)


def _earliest(model: type[Model], column: str, after: datetime) -> datetime | None:
    later: QuerySet[Model] = QuerySet(model, using=rows.alias()).filter(**{f"{column}__gt": after})
    moment: datetime | None = later.aggregate(moment=Min(column))["moment"]
    return moment


@contextmanager
def workflow_testing() -> Iterator[Workflows]:
    """Drive workflows by hand inside the block; time stands still unless ``advance`` moves it."""
    with time_machine.travel(timezone.now(), tick=False) as traveller, clock.use_process_clock():
        errors = Errors()
        workflows = Workflows(traveller, errors)
        with mock.patch.object(broker, "publisher", workflows.publish), _listening(errors):
            try:
                yield workflows
            except Exception as error:
                forgotten.add_note(error, has_kit=True)
                raise
