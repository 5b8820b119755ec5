"""Prometheus: what processes count, and what the database knows."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from django_ai.automation.workflows import tasks
from django_ai.automation.workflows.core import complete, engine, step, workflow
from django_ai.automation.workflows.health import gathering
from django_ai.automation.workflows.models import Pulse, WorkflowRun
from django_ai.automation.workflows.monitoring import checks
from django_ai.automation.workflows.monitoring.checks import check_metrics
from django_ai.automation.workflows.runtime import lanes, notices, pulses, worker

from ..declared import declare_inquiry

prometheus = pytest.importorskip("prometheus_client")
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402

from django_ai.automation.workflows.monitoring import serving  # noqa: E402
from django_ai.automation.workflows.monitoring.metrics import Metrics  # noqa: E402

pytestmark = pytest.mark.django_db(transaction=True)

METRICS = "/ops/metrics/"


@pytest.fixture
def counting(monkeypatch):
    """Count, as with METRICS switched on; return a function that tells by how much a sample has grown."""
    monkeypatch.setattr(notices, "listeners", [*notices.listeners, Metrics()])
    before = {}

    def sample(name, **labels):
        return (prometheus.REGISTRY.get_sample_value(name, labels) or 0.0) - before.get((name, *labels.items()), 0.0)

    for family in prometheus.REGISTRY.collect():
        before.update({(item.name, *item.labels.items()): item.value for item in family.samples})
    return sample


@pytest.fixture
def scrape(client, settings):
    """Read the endpoint as Prometheus does: the samples by name and labels."""

    def scrape():
        settings.DJANGO_AI = {"MONITORING_PUBLIC": True}
        answer = client.get(METRICS)
        assert answer.status_code == 200
        families = text_string_to_metric_families(answer.content.decode())
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    return scrape


def test_runs_and_steps_are_counted_by_what_became_of_them(workflows, journey, counting):
    run = engine.start(journey)
    engine.start(journey, stumbles=2)
    workflows.advance(timedelta(seconds=3))
    engine.signal("morning", run=run)
    workflows.drain()
    assert counting("django_ai_runs_started_total", workflow="journey") == 2
    assert counting("django_ai_runs_ended_total", workflow="journey", status="completed") == 1
    assert counting("django_ai_runs_ended_total", workflow="journey", status="failed") == 1
    assert counting("django_ai_run_seconds_count", workflow="journey") == 2
    steps = {
        (name, outcome): counting("django_ai_steps_total", workflow="journey", step=name, outcome=outcome)
        for name, outcome in [("leave", "retried"), ("leave", "failed"), ("arrive", "completed"), ("arrive", "failed")]
    }
    assert steps == {
        ("leave", "retried"): 2,
        ("leave", "failed"): 1,
        ("arrive", "completed"): 1,
        ("arrive", "failed"): 0,
    }
    # Attempts, whatever became of them.
    assert counting("django_ai_step_seconds_count", workflow="journey", step="leave") == 4


def test_waits_and_the_lateness_of_timers_are_measured(workflows, journey, counting):
    engine.start(journey, stumbles=0)
    workflows.drain()
    WorkflowRun.objects.get().suspension.__class__.objects.update(due_at=timezone.now() - timedelta(seconds=20))
    workflows.drain()
    assert counting("django_ai_wait_seconds_count", workflow="journey", kind="timer") == 1
    assert counting("django_ai_timer_lateness_seconds_count") == 1
    assert counting("django_ai_timer_lateness_seconds_sum") == pytest.approx(20, abs=5)


def test_what_the_scheduler_sends_again_is_counted_and_so_are_lost_leases(counting, monkeypatch):
    monkeypatch.setattr(pulses, "after_tick", lambda: None)
    silent, lost = engine.start(declare_inquiry()), engine.start(declare_inquiry())
    lanes.take(lost.pk, lost.sequence, lost.attempt)
    long_ago = timezone.now() - timedelta(hours=1)
    WorkflowRun.objects.filter(pk=silent.pk).update(dispatched_at=long_ago)
    WorkflowRun.objects.filter(pk=lost.pk).update(lease_until=long_ago)
    tasks.tick()
    assert counting("django_ai_messages_resent_total", kind="step") == 2
    assert counting("django_ai_leases_lost_total", workflow="inquiry") == 1


def test_results_that_come_too_late_are_counted(counting):
    @workflow("overtaken")
    class Overtaken:
        @step(start=True)
        def begin(self):
            WorkflowRun.objects.update(sequence=7)
            return complete()

    run = engine.start(Overtaken)
    worker.execute(run.pk, run.sequence, run.attempt)
    assert counting("django_ai_results_discarded_total", workflow="overtaken") == 1


def test_the_database_tells_the_rest(scrape, monkeypatch):
    monkeypatch.setattr(gathering.dispatch, "queues", lambda: ["celery", "slow"])
    pulses.stamp("queue:slow", lag=7.5)
    pulses.stamp(pulses.BEAT)
    Pulse.objects.update(at=timezone.now() - timedelta(seconds=30))
    stuck = engine.start(declare_inquiry())
    engine.start(declare_inquiry("other"))
    WorkflowRun.objects.filter(pk=stuck.pk).update(updated_at=timezone.now() - timedelta(hours=1))
    found = scrape()
    assert found["django_ai_up",] == 1
    assert found["django_ai_queue_lag_seconds", ("queue", "slow")] == 7.5
    assert found["django_ai_queue_silence_seconds", ("queue", "slow")] == pytest.approx(30, abs=10)
    assert found["django_ai_beat_silence_seconds",] == pytest.approx(30, abs=10)
    assert ("django_ai_scheduler_silence_seconds",) not in found  # never spoke
    assert found["django_ai_runs", ("status", "running"), ("workflow", "inquiry")] == 1
    assert found["django_ai_runs", ("status", "running"), ("workflow", "other")] == 1
    assert found["django_ai_backlog", ("kind", "steps")] == 2
    assert found["django_ai_backlog_seconds", ("kind", "steps")] == pytest.approx(3600, abs=30)
    assert found["django_ai_stuck_runs",] == 1


def test_a_question_that_waits_is_lag_already(scrape, monkeypatch):
    monkeypatch.setattr(gathering.dispatch, "queues", lambda: ["slow"])
    pulses.stamp("queue:slow", lag=0.1)
    Pulse.objects.update(asked_at=timezone.now() - timedelta(seconds=90))
    assert scrape()["django_ai_queue_lag_seconds", ("queue", "slow")] == pytest.approx(90, abs=10)


def test_a_database_that_is_away_is_a_gauge_and_no_error(scrape, monkeypatch):
    def away(*_):
        raise OperationalError("gone")

    monkeypatch.setattr(gathering.clock, "read", away)
    found = scrape()
    assert found["django_ai_up",] == 0
    assert ("django_ai_stuck_runs",) not in found


def test_metrics_are_not_for_everybody(client, settings):
    assert client.get(METRICS).status_code == 403
    settings.DJANGO_AI = {"MONITORING_TOKEN": "s3cret"}
    assert client.get(METRICS, headers={"Authorization": "Bearer s3cret"}).status_code == 200
    assert client.get(METRICS, headers={"Authorization": "Bearer other"}).status_code == 403


def test_without_the_extra_the_endpoint_says_what_to_install(client, settings, monkeypatch):
    settings.DJANGO_AI = {"MONITORING_PUBLIC": True}
    monkeypatch.setitem(sys.modules, "django_ai.automation.workflows.monitoring.serving", None)
    monkeypatch.delattr("django_ai.automation.workflows.monitoring.serving", raising=False)
    answer = client.get(METRICS)
    assert (answer.status_code, answer.content) == (404, b'Install "django-ai[prometheus]".')


def test_metrics_without_the_extra_are_a_check(settings, monkeypatch):
    assert check_metrics(None) == []
    settings.DJANGO_AI = {"METRICS": True}
    assert check_metrics(None) == []
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    assert [message.id for message in check_metrics(None)] == ["django_ai.E061"]


SEVERAL = """
import os, sys
from django.conf import settings
settings.configure(INSTALLED_APPS=[])
from prometheus_client import Counter
counter = Counter("django_ai_shared", "A count of several processes.")
if sys.argv[1] == "count":
    counter.inc(3)
else:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    print(generate_latest(registry).decode())
"""


def test_processes_that_share_a_directory_are_counted_together(tmp_path, monkeypatch):
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", SEVERAL, "count"], env=environment, check=True)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    registry = serving.counted()
    assert registry is not prometheus.REGISTRY
    assert registry.get_sample_value("django_ai_shared_total") == 6


def test_a_worker_serves_what_it_counts_and_a_port_that_is_taken_stops_no_worker(settings, monkeypatch, caplog):
    settings.DJANGO_AI = {"METRICS": True, "METRICS_PORT": 4711}
    served = []
    monkeypatch.setattr(serving, "start_http_server", lambda port, **options: served.append((port, options)))
    serving.serve()
    assert served == [(4711, {"addr": "127.0.0.1", "registry": prometheus.REGISTRY})]
    settings.DJANGO_AI = {"METRICS": True, "METRICS_PORT": 4711, "METRICS_ADDRESS": "0.0.0.0"}
    serving.serve()
    assert served[1][1]["addr"] == "0.0.0.0"
    settings.DJANGO_AI = {"METRICS": True, "METRICS_PORT": 4711, "METRICS_ADDRESS": ""}
    serving.serve()
    assert served[2][1]["addr"] == "127.0.0.1", "and not every address"

    def taken(*_, **__):
        raise OSError("Address already in use")

    monkeypatch.setattr(serving, "start_http_server", taken)
    serving.serve()
    assert "127.0.0.1:4711 is taken" in caplog.text
