"""Prometheus gauges of what the database knows, the same from whichever process they are asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .. import health
from ..health.facts import Backlog, Facts, Part
from ..machine.statuses import RUNNING, SUSPENDED
from ..models import WorkflowRun
from ..runtime import rows

_BACKLOGS = ("steps", "timers", "messages", "events")


class WorkflowCollector(Collector):
    """Looks at the database when it is asked; a database that is away is the gauge ``django_ai_up`` at 0."""

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        facts = health.gather()
        yield _gauge("up", "Whether the database and the broker answer.", not (facts.database or facts.broker))
        if facts.database:
            return
        yield from _signs_of_life(facts)
        yield from _backlogs(facts)
        yield _active_runs()

    def describe(self) -> Iterator[Metric]:
        """Name nothing beforehand, so that registering the collector asks no database."""
        return iter(())


def registry() -> CollectorRegistry:
    """Return a registry that holds these gauges alone."""
    found = CollectorRegistry()
    found.register(WorkflowCollector())
    return found


def _signs_of_life(facts: Facts) -> Iterator[Metric]:
    yield _gauge("beat_silence_seconds", "Since beat's last tick was sent.", _since(facts.beat, facts))
    yield _gauge("scheduler_silence_seconds", "Since the scheduler's last pass.", _since(facts.tick, facts))
    silence = GaugeMetricFamily("django_ai_queue_silence_seconds", "Since a worker last answered.", labels=["queue"])
    lag = GaugeMetricFamily("django_ai_queue_lag_seconds", "What messages wait in a queue.", labels=["queue"])
    for queue, part in facts.queues:
        if part.at:
            silence.add_metric([queue], _since(part, facts) or 0.0)
        if (waited := _lag(part, facts)) is not None:
            lag.add_metric([queue], waited)
    yield silence
    yield lag


def _lag(part: Part, facts: Facts) -> float | None:
    """Return what the last message waited, or what the present one has waited already, if that is more."""
    assert facts.now is not None
    owed = (facts.now - part.asked_at).total_seconds() if part.asked_at else None
    return max((wait for wait in (part.lag, owed) if wait is not None), default=None)


def _backlogs(facts: Facts) -> Iterator[Metric]:
    count = GaugeMetricFamily("django_ai_backlog", "What should have happened by now, up to 1,000.", labels=["kind"])
    age = GaugeMetricFamily("django_ai_backlog_seconds", "Since when the oldest of them waits.", labels=["kind"])
    for kind in _BACKLOGS:
        backlog: Backlog = getattr(facts, kind)
        assert facts.now is not None
        late = facts.now - backlog.since if backlog.since else timedelta()
        count.add_metric([kind], backlog.count)
        age.add_metric([kind], max(late.total_seconds(), 0.0))
    yield count
    yield age
    yield _gauge("stuck_runs", "Runs that nobody moves though they could move, up to 1,000.", facts.stuck.count)


def _active_runs() -> Metric:
    found = GaugeMetricFamily("django_ai_runs", "Runs that have not ended.", labels=["workflow", "status"])
    runs = WorkflowRun.objects.using(rows.alias()).filter(status__in=(RUNNING, SUSPENDED)).order_by()
    for row in runs.values("name", "status").annotate(count=Count("pk")):
        found.add_metric([row["name"], row["status"]], row["count"])
    return found


def _since(part: Part, facts: Facts) -> float | None:
    return max((facts.now - part.at).total_seconds(), 0.0) if part.at and facts.now else None


def _gauge(name: str, text: str, value: float | None) -> Metric:
    family = GaugeMetricFamily(f"django_ai_{name}", text)
    if value is not None:
        family.add_metric([], float(value))
    return family
