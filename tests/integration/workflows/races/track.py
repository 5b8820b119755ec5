"""Where pairs race: two threads with connections of their own, which start together again and again."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from time import perf_counter

from django.db import connections
from django.utils import timezone

from django_ai.automation.workflows.core import engine
from django_ai.automation.workflows.exceptions import FormNotOpen, IllegalMove
from django_ai.automation.workflows.models import Suspension, WorkflowRun
from django_ai.automation.workflows.runtime import worker

from .pairs import HOUR, Act, Outcome, Pair, declare_asking

# One of the two starts earlier by up to this many seconds, so that either may win.
LEAD = 0.004
PATIENCE = 60

# How a loser may be told that it lost.
REFUSALS = (FormNotOpen, IllegalMove)


@dataclass
class Track:
    """Runs to race for, one after the other, and two runners."""

    pair: Pair
    runs: list[WorkflowRun]
    chance: random.Random
    errors: list[str] = field(default_factory=list)

    def race(self) -> None:
        """Have both runners act on each run at the same moment."""
        start = threading.Barrier(2)
        leads = [self.chance.uniform(-LEAD, LEAD) for _ in self.runs]
        delays = [[max(lead, 0.0) for lead in leads], [max(-lead, 0.0) for lead in leads]]
        runners = [
            threading.Thread(target=self._run, args=(act, start, delay))
            for act, delay in zip(self.pair.acts, delays, strict=True)
        ]
        for runner in runners:
            runner.start()
        for runner in runners:
            runner.join()

    def _run(self, act: Act, start: threading.Barrier, delays: list[float]) -> None:
        try:
            for run, delay in zip(self.runs, delays, strict=True):
                start.wait(PATIENCE)
                _spin(delay)
                self._act(act, run)
        finally:
            connections.close_all()

    def _act(self, act: Act, run: WorkflowRun) -> None:
        try:
            act(run)
        except REFUSALS:
            pass
        except Exception as error:  # noqa: BLE001 - the test shows it
            self.errors.append(f"{run}: {error!r}")

    def outcomes(self) -> Counter[Outcome]:
        """Return how often the runs stand in which way now."""
        runs = WorkflowRun.objects.in_bulk([run.pk for run in self.runs]).values()
        return Counter((str(run.status), tuple(run.data["winners"])) for run in runs)


def _spin(seconds: float) -> None:
    until = perf_counter() + seconds
    while perf_counter() < until:
        pass


def prepare(pair: Pair, count: int) -> list[WorkflowRun]:
    """Return this many runs that stand where the race begins."""
    workflow = pair.declare()
    runs = [engine.start(workflow) for _ in range(count)]
    for run in runs:
        if pair.declare is declare_asking:
            worker.execute(run.pk, run.sequence, run.attempt)
        if pair.answered:
            engine.signal("answer", {"winner": "signal"}, run=run)
    if pair.overdue:
        Suspension.objects.filter(run__in=runs).update(due_at=timezone.now() - HOUR)
    found = WorkflowRun.objects.in_bulk([run.pk for run in runs])
    return [found[run.pk] for run in runs]
