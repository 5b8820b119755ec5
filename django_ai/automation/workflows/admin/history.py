"""The history of a run for its page: some of its rows, and the counts of all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from django.db.models import Count, F, Q, Window
from django.db.models.functions import Lag

from ..models import PastWait, Signal, SignalKind, StepExecution, WaitOutcome, WorkflowRun
from .bounds import Parts


@dataclass(frozen=True, slots=True)
class Moves:
    """A part of a run's history.

    Attributes:
        executions, waits: its rows, the newest first.
        answers: the messages that ended the waits.
        last: the number of its oldest move, if there are older ones.
        are_newest: whether these are the newest rows.
    """

    executions: list[StepExecution]
    waits: list[PastWait]
    answers: list[Signal]
    last: int | None
    are_newest: bool


def moves_of(run: WorkflowRun, parts: Parts, most: int) -> Moves:
    """Return the part of a run's history that is asked for: about ``most`` visits and waits, in three queries."""
    before = parts.before("moves")
    earlier = Q() if before is None else Q(sequence__lt=before)
    executions = list(run.step_executions.filter(earlier).order_by("-sequence")[: most + 1])
    waits = list(run.past_waits.filter(earlier).order_by("-sequence")[: most + 1])
    numbers = sorted([*(each.sequence for each in executions), *(each.sequence for each in waits)], reverse=True)
    last = numbers[most - 1] if len(numbers) > most else None
    if last is not None:
        executions = [each for each in executions if each.sequence >= last]
        waits = [each for each in waits if each.sequence >= last]
    answered = [wait.sequence for wait in waits if wait.outcome == WaitOutcome.ANSWERED]
    answers = run.signals.exclude(kind=SignalKind.EDIT).filter(sequence__in=answered)
    return Moves(executions, waits, list(answers) if answered else [], last, before is None)


@dataclass(frozen=True, slots=True)
class Summary:
    """All of a run's history in numbers.

    Attributes:
        visits: how often each step was visited, without the visit that is under way.
        waits: how many waits have ended.
        ways: the (step, next step) pairs of its latest moves.
    """

    visits: Counter[str]
    waits: int
    ways: frozenset[tuple[str, str]]

    @property
    def ended(self) -> int:
        """How many visits have ended."""
        return self.visits.total()

    @property
    def moves(self) -> int:
        """How many visits and waits have ended."""
        return self.ended + self.waits


def summary_of(run: WorkflowRun, most_ways: int) -> Summary:
    """Return a run's history in numbers, in three queries whose answers do not grow with it."""
    executed = run.step_executions.order_by().values_list("step_name").annotate(Count("pk"))
    # Without a StepExecution a visit is kept with the wait that it led to.
    counts = {"ended": Count("pk"), "visited": Count("pk", filter=~Q(visit={}))}
    waited = run.past_waits.order_by().values_list("step_name").annotate(**counts)
    visits, waits = Counter(dict(executed)), 0
    for step, ended, visited in waited:
        waits += ended
        if visited:
            visits[step] += visited
    latest = run.step_executions.filter(sequence__gt=max(0, run.sequence - most_ways) - 1).order_by()
    before = Window(Lag("step_name"), order_by=F("sequence").asc())
    pairs = latest.annotate(before=before).values_list("before", "step_name").distinct()
    return Summary(visits, waits, frozenset((first, second) for first, second in pairs if first))
