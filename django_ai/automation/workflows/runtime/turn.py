"""A task's turn: how long it stays with a run, and what it does itself that else takes a message."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from ... import clock
from ...conf import settings
from ..machine.state import Transition
from ..machine.statuses import RUNNING
from ..models import WorkflowRun
from . import dispatch, pace, stopping


@dataclass(slots=True)
class Claim:
    """A run whose current step this worker owns, and the database's time.

    Attributes:
        asked: by ``monotonic``, before the statement that claimed the step was sent: its lease counts from then.
    """

    run: WorkflowRun
    watch: clock.Stopwatch
    asked: float = field(default_factory=monotonic)


@dataclass(slots=True)
class Turn:
    """What one task may still do before it lets others have the worker.

    Attributes:
        queue: where the task came from; only what belongs there is done here.
        steps, until: how many steps it may still run, and until when by ``monotonic``.
        family: what comes next: a child that was just started, or a parent whose child has ended.
        task, rest: the messages that came together with this one and are still to be done.
    """

    queue: str | None
    steps: int = field(default_factory=lambda: settings.STEPS_PER_TASK)
    until: float = field(default_factory=lambda: monotonic() + settings.SECONDS_PER_TASK)
    family: deque[Claim | int] = field(default_factory=deque)
    task: str = ""
    rest: list[tuple[Any, ...]] = field(default_factory=list)

    def lasts(self) -> bool:
        """Say whether the task may go on at all."""
        return self.steps > 0 and monotonic() < self.until and not stopping.announced()

    def stays(self, workflow: str, version: str, transition: Transition) -> bool:
        """Say whether this task runs the step that a transition leads to: there is one, for this queue, in time."""
        wants_worker = transition.status is RUNNING and self.lasts()
        return wants_worker and dispatch.queue_at(workflow, version, transition.step) == self.queue

    def take_on(self, next_one: Claim | int) -> None:
        """Go on with this when the caller's transaction has committed: a claimed child, or a parent to deliver to."""
        self.family.append(next_one)

    def rolled_back(self) -> None:
        """Forget what the transaction took on that has failed: there was nothing before it."""
        self.family.clear()

    def share(self, run: WorkflowRun) -> None:
        """Before a step of ``run`` that may take long: leave the rest of the messages to other workers."""
        if self.rest and not (self.lasts() and pace.is_quick(pace.place_of(run))):
            self.hand_over()

    def hand_over(self) -> None:
        """Send the rest of the messages on, if there is one."""
        rest, self.rest = self.rest, []
        dispatch.again(self.task, self.queue, rest)
