"""Prometheus counts what this process does to runs; `collecting` adds what only the database knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from time import perf_counter

from prometheus_client import Counter, Histogram

from ..machine.commands import WaitKind
from ..models import WorkflowRun
from ..runtime.hearing import Claimed, Kind, Listener, Notice

_SHORT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_LONG = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600, 21_600, 86_400, 604_800)

RUNS_STARTED = Counter("django_ai_runs_started", "Runs that were started.", ["workflow"])
RUNS_ENDED = Counter("django_ai_runs_ended", "Runs that ended, by status.", ["workflow", "status"])
RUN_SECONDS = Histogram("django_ai_run_seconds", "From a run's start to its end.", ["workflow"], buckets=_LONG)
STEPS = Counter(
    "django_ai_steps", "Attempts of steps by outcome: completed, retried, failed.", ["workflow", "step", "outcome"]
)
STEP_SECONDS = Histogram("django_ai_step_seconds", "One attempt of a step.", ["workflow", "step"], buckets=_SHORT)
WAIT_SECONDS = Histogram("django_ai_wait_seconds", "What runs waited.", ["workflow", "kind"], buckets=_LONG)
TIMER_LATENESS = Histogram("django_ai_timer_lateness_seconds", "How late runs woke from their sleep.", buckets=_SHORT)
RESENT = Counter("django_ai_messages_resent", "Messages that were sent again: of steps, or to inboxes.", ["kind"])
LEASES_LOST = Counter("django_ai_leases_lost", "Steps whose worker went silent.", ["workflow"])
DISCARDED = Counter("django_ai_results_discarded", "Results of steps that came too late.", ["workflow"])

_ENDS = {Kind.RUN_COMPLETED: "completed", Kind.RUN_FAILED: "failed", Kind.RUN_CANCELLED: "cancelled"}
_OUTCOMES = {Kind.STEP_COMPLETED: "completed", Kind.STEP_RETRIED: "retried", Kind.STEP_FAILED: "failed"}
_WANTED = frozenset({Kind.RUN_STARTED, Kind.RUN_RESUMED, *_ENDS, *_OUTCOMES})


class Metrics(Listener):
    """Counts."""

    def wants(self) -> frozenset[Kind]:
        return _WANTED

    def hear(self, notice: Notice) -> None:
        name = notice.run.name
        if notice.kind is Kind.RUN_STARTED:
            RUNS_STARTED.labels(name).inc()
        elif notice.kind in _ENDS:
            RUNS_ENDED.labels(name, _ENDS[notice.kind]).inc()
            RUN_SECONDS.labels(name).observe(_seconds(notice.lasted))
        elif notice.kind in _OUTCOMES:
            STEPS.labels(name, notice.step, _OUTCOMES[notice.kind]).inc()
        elif notice.kind is Kind.RUN_RESUMED:
            _count_wait(notice)

    def around(self, claim: Claimed) -> AbstractContextManager[object]:
        """Measure the attempt."""
        return _measured(claim.run.name, claim.run.current_step)

    def discarded(self, run: WorkflowRun) -> None:
        """Count a result that came too late."""
        DISCARDED.labels(run.name).inc()

    def lost(self, run: WorkflowRun) -> None:
        """Count a worker that went silent."""
        LEASES_LOST.labels(run.name).inc()

    def ticked(self, resent: int, redelivered: int) -> None:
        """Count what the scheduler sent again."""
        RESENT.labels("step").inc(resent)
        RESENT.labels("delivery").inc(redelivered)


@contextmanager
def _measured(workflow: str, step: str) -> Iterator[None]:
    started = perf_counter()
    try:
        yield
    finally:
        STEP_SECONDS.labels(workflow, step).observe(perf_counter() - started)


def _count_wait(notice: Notice) -> None:
    wait = notice.wait
    WAIT_SECONDS.labels(notice.run.name, str(wait.kind)).observe(_seconds(notice.lasted))
    if wait.kind == WaitKind.TIMER and wait.due_at:
        TIMER_LATENESS.observe(_seconds(notice.at - wait.due_at))


def _seconds(span: timedelta | None) -> float:
    return max(span.total_seconds(), 0.0) if span else 0.0
