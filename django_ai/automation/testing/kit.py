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
from ..workflows.models import EventBurst, Suspension
from ..workflows.runtime import bursts, childless, dispatch, rows, scheduler, waits, worker

Message = tuple[str, tuple[Any, ...], float]

_TASKS: dict[str, Callable[..., object]] = {
    **worker.TASKS,
    dispatch.SEVERAL: worker.several,
    announcing.OCCUR: events.occur,
}

# A workflow that is still busy after this many messages goes round in circles.
MOST_MESSAGES = 100_000


class Workflows:
    """Drives all workflows of a test; get one from the fixture ``workflows`` or ``workflow_testing()``."""

    def __init__(self, traveller: time_machine.Traveller) -> None:
        self._traveller = traveller
        self._queue: deque[Message] = deque()

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
        while (moment := _next_moment(after=timezone.now())) is not None and moment <= target:
            self._traveller.move_to(moment)
            self.drain()
        self._traveller.move_to(target)
        self.drain()

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
        workflows = Workflows(traveller)
        with mock.patch.object(broker, "publisher", workflows.publish):
            yield workflows
