"""What the report tells: each metric's name, unit and direction, and the goals it is held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.contenders import OWN


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of each contender."""

    name: str
    workload: str
    title: str
    unit: str
    more_is_better: bool
    digits: int = 0


METRICS = (
    Metric("steps", "steps", "steps a second, 1 worker process", "/s", more_is_better=True),
    Metric("steps2", "steps2", "steps a second, 2 worker processes", "/s", more_is_better=True),
    Metric("orm", "orm", "steps that write by the ORM a second, 1 worker process", "/s", more_is_better=True),
    Metric("orm2", "orm2", "steps that write by the ORM a second, 2 worker processes", "/s", more_is_better=True),
    Metric("idle_p50", "idle", "10 steps on an idle system, median", "ms", more_is_better=False, digits=1),
    Metric("idle_p95", "idle", "10 steps on an idle system, 95 %", "ms", more_is_better=False, digits=1),
    Metric("signal_p50", "signal", "signal sent → first line resumed, median", "ms", more_is_better=False, digits=1),
    Metric("signal_p95", "signal", "signal sent → first line resumed, 95 %", "ms", more_is_better=False, digits=1),
    Metric("nap_p50", "sleep", "lateness of a sleep of 0.5 s, median", "ms", more_is_better=False, digits=1),
    Metric("nap_p95", "sleep", "lateness of a sleep of 0.5 s, 95 %", "ms", more_is_better=False, digits=1),
    Metric("sleep_p50", "sleep", "lateness of a sleep of 2 s, median", "ms", more_is_better=False, digits=1),
    Metric("sleep_p95", "sleep", "lateness of a sleep of 2 s, 95 %", "ms", more_is_better=False, digits=1),
    Metric("starts", "starts", "starts a second, one by one", "/s", more_is_better=True),
    Metric("many", "many", "starts a second, in one call", "/s", more_is_better=True),
    Metric("children", "children", "child round trips a second, 1 worker", "/s", more_is_better=True),
    Metric("crowd", "crowd", "a crowd woken by one signal until all have ended", "s", more_is_better=False, digits=2),
    Metric("cpu_worker", "steps", "CPU of the workers for a step", "ms", more_is_better=False, digits=2),
    Metric("cpu_postgres", "steps", "CPU of PostgreSQL for a step", "ms", more_is_better=False, digits=2),
    Metric("cpu_broker", "steps", "CPU of Redis for a step", "ms", more_is_better=False, digits=2),
    Metric("statements", "steps", "statements for a step", "", more_is_better=False, digits=1),
    Metric("commits", "steps", "commits that write, for a step", "", more_is_better=False, digits=2),
    Metric("wal", "steps", "bytes of WAL for a step", "", more_is_better=False),
    Metric("limit", "limit", "commits a second, transaction of two statements", "/s", more_is_better=True),
    Metric("limit_cte", "limit", "commits a second, both writes in one statement", "/s", more_is_better=True),
    Metric("orm_alone", "orm_alone", "the writes of a step of orm by Django in a loop", "/s", more_is_better=True),
)

Medians = Mapping[str, Mapping[str, float]]  # metric → contender → median


@dataclass(frozen=True, slots=True)
class Goal:
    """How this project's figure has to stand to another figure, or to a number of the metric's unit."""

    metric: str
    factor: float
    contender: str = ""  # "" for a plain number, "best" for the best of the others
    of: str = ""  # the other figure's metric, the same by default

    def ratio(self, medians: Medians) -> float | None:
        """Return this project's figure in units of what it is held against; None where one is missing."""
        own = medians.get(self.metric, {}).get(OWN)
        other = 1.0 if not self.contender else self._other(medians)
        return None if own is None or not other else own / other

    def reached(self, medians: Medians) -> bool | None:
        """Say whether the goal is reached; None where a figure is missing."""
        ratio = self.ratio(medians)
        if ratio is None:
            return None
        return ratio >= self.factor if by_name(self.metric).more_is_better else ratio <= self.factor

    def _other(self, medians: Medians) -> float | None:
        figures = medians.get(self.of or self.metric, {})
        if self.contender != "best":
            return figures.get(self.contender)
        others = [value for name, value in figures.items() if name != OWN]
        choose = max if by_name(self.metric).more_is_better else min
        return choose(others, default=None)


GOALS = (
    Goal("steps", 2, "absurd"),
    Goal("steps", 5, "dbos"),
    Goal("steps", 2, "celery"),
    Goal("steps", 0.4, "limit", of="limit_cte"),
    Goal("steps2", 1.7, OWN, of="steps"),
    Goal("orm", 1, "celery_orm"),
    Goal("idle_p50", 0.5, "best"),
    Goal("signal_p50", 1.5, "celery"),
    Goal("nap_p50", 10),
    Goal("nap_p95", 50),
    Goal("sleep_p50", 10),
    Goal("sleep_p95", 50),
    Goal("starts", 1.3, "dbos"),
    Goal("many", 3, "absurd", of="starts"),
    Goal("children", 3, "absurd"),
    Goal("crowd", 0.33, "absurd"),
    Goal("cpu_worker", 0.7),
)


def by_name(name: str) -> Metric:
    """Return a metric."""
    return next(metric for metric in METRICS if metric.name == name)
