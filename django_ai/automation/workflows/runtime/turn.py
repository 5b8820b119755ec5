"""A task's turn: how long it stays with a run, and what it does itself that else takes a message."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

from ... import clock
from ...conf import settings
from ..authoring.registry import registry
from ..machine.state import Transition
from ..machine.statuses import RUNNING
from ..models import Signal, WorkflowRun
from . import dispatch, notices, pace, stopping, vendors
from .hearing import Kind

if TYPE_CHECKING:
    from . import commit
    from .pipe import Pipe


@dataclass(slots=True)
class Claim:
    """A run whose current step this worker owns, and the database's time.

    Attributes:
        asked: by ``monotonic``, before the statement that claimed the step was sent: its lease counts from then.
        context: the context that the step got; if the step raises, it may hold secrets that no row has.
    """

    run: WorkflowRun
    watch: clock.Stopwatch
    asked: float = field(default_factory=monotonic)
    context: BaseModel | None = None


def may_wait(place: pace.Place, attempts: int = 0) -> bool:
    """Say whether a step may be claimed and wait here while others are run, and others while it is.

    Args:
        attempts: how many it has had. Should the worker die meanwhile, the claim costs one more: there must
            be another.
    """
    workflow, version, name = place
    definition = registry.get(workflow, version)
    step = definition.find(name) if definition and pace.is_quick(place) else None
    return definition is not None and step is not None and definition.retry_of(step).max_attempts > attempts + 1


class Posted(NamedTuple):
    """A move that is being committed meanwhile.

    Attributes:
        move: what is written.
        claim: the run, with which the task goes on if the move claims its next step.
        fence: where the run was before.
        finish: called with what takes the answer, writing the move anew where there is none; returns the claim
            to go on with. What takes the answer says whether the next step is claimed, and raises what a
            commit does.
    """

    move: commit.Prepared
    claim: Claim
    fence: tuple[int, int]
    finish: Callable[[Callable[[], bool]], Claim | None]


class Glance(NamedTuple):
    """A run that waits, as it was read without a lock: with the first message of its inbox.

    Attributes:
        watch: the database's time, which began when it was read.
        asked: by ``monotonic``, before it was read.
    """

    run: WorkflowRun
    message: Signal | None
    watch: clock.Stopwatch
    asked: float


@dataclass(slots=True)
class Turn:
    """What one task may still do before it lets others have the worker.

    Attributes:
        queue: where the task came from; only what belongs there is done here.
        steps, until: how many steps it may still run, and until when by ``monotonic``.
        lanes: the runs that are gone on with, in turns: claims, and parents whose child has ended.
        coming: those that a move brings along which is not committed yet.
        posted: the moves that are being committed meanwhile, oldest first.
        wanted: of what listeners want to hear.
        place: of the last step that was run.
        crowded: whether other runs wait for a worker of this queue, as far as is known.
        after: the run of this or a lower number was begun with last.
        task, rest: the messages that came together with this one and are still to be done.
        has_begun: with one of them.
        seen: runs that wait, as they were read for all messages of one kind together.
        pipe: what moves are posted through, once somebody asked whether they may be.
    """

    queue: str | None
    steps: int = field(default_factory=lambda: settings.STEPS_PER_TASK)
    until: float = field(default_factory=lambda: monotonic() + settings.SECONDS_PER_TASK)
    lanes: deque[Claim | int] = field(default_factory=deque)
    coming: list[Claim | int] = field(default_factory=list)
    posted: deque[Posted] = field(default_factory=deque)
    wanted: frozenset[Kind] = field(default_factory=notices.wanted_now)
    place: pace.Place | None = None
    crowded: bool = False
    after: int = 0
    task: str = ""
    rest: list[tuple[Any, ...]] = field(default_factory=list)
    has_begun: bool = False
    seen: dict[int, Glance] = field(default_factory=dict)
    pipe: Pipe | None = None
    _asked_for_pipe: bool = False

    def lasts(self) -> bool:
        """Say whether the task may go on at all."""
        return self.steps > 0 and monotonic() < self.until and not stopping.announced()

    def has_steps(self) -> bool:
        """Say whether one more step may be claimed: all that are will be run."""
        return self.lasts() and self.steps > self.others()

    def is_young(self) -> bool:
        """Say whether what is begun now will most likely come to its end in this turn, and need no message."""
        in_time = self.until - monotonic() > settings.SECONDS_PER_TASK / 2
        return in_time and self.steps > settings.STEPS_PER_TASK / 2 and not stopping.announced()

    def stays(self, workflow: str, version: str, transition: Transition) -> bool:
        """Say whether this task runs the step that a transition leads to: there is one, for this queue, in time."""
        if transition.status is not RUNNING or not self.has_steps():
            return False
        if self.others() and not may_wait((workflow, version, transition.step), transition.attempt):
            return False  # whoever has nothing else to do may take long over it
        return dispatch.queue_at(workflow, version, transition.step) == self.queue

    def may_post(self) -> bool:
        """Say whether a move can be committed here while another run's code runs."""
        if not self._asked_for_pipe:
            self._asked_for_pipe, self.pipe = True, vendors.way().pipe()
        return self.pipe is not None

    def posts(self, run: WorkflowRun, transition: Transition) -> bool:
        """Say whether the move that wakes a run is posted: there is something else to do, and what follows is quick."""
        if not (self.others() or self.rest) or not self.may_post():
            return False
        place = (run.name, run.version, transition.step)
        return transition.status is not RUNNING or may_wait(place, transition.attempt)

    def others(self) -> int:
        """Return how many runs the task goes on with beside the one whose step is being run."""
        return len(self.lanes) + len(self.posted)

    def take_on(self, next_one: Claim | int) -> None:
        """Go on with this when the move has committed: a claimed child, or a parent to deliver to."""
        self.coming.append(next_one)

    def committed(self) -> None:
        """Go on with what the move brought along."""
        self.lanes.extend(self.coming)
        self.coming.clear()

    def rolled_back(self) -> None:
        """Forget what the move would have brought along, which has failed."""
        self.coming.clear()

    def share(self, run: WorkflowRun) -> None:
        """Before a step of ``run`` that may take long: leave the rest of the messages to other workers."""
        self.place = pace.place_of(run)
        if self.rest and not (self.lasts() and pace.is_quick(self.place)):
            self.hand_over()

    def hand_over(self) -> None:
        """Send the rest of the messages on, if there is one; after a slow step one by one, to as many workers."""
        rest, self.rest = self.rest, []
        is_slow = self.place is not None and pace.is_slow(self.place)
        dispatch.again(self.task, self.queue, rest, one_by_one=is_slow)
