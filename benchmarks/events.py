"""What events cost: saving, the scan for what is due, and a thousand runs at once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import django

from benchmarks import compare, servers
from benchmarks.figures import Summary
from benchmarks.report import NOTICE, circumstances, number, table, told
from benchmarks.sizes import FULL, QUICK

ROUNDS = 300
DUE = 1000
PENDING = {"full": 1_000_000, "quick": 10_000}
DATABASE = "bench_events"

FILL = """
INSERT INTO django_ai_events_event
    (name, entity_type, entity_id, at, correlation, data, status, next_due_at, armed_at, deliveries,
     failures, by_hand, note, created_at)
SELECT 'benchmark', '', n::text, now() + interval '1 year', n::text, '{}', 'pending',
       now() + interval '1 year', now(), '{}', 0, false, '', now()
FROM generate_series(1, %s) AS n
"""
TITLES = {
    "plain": "saving a model that declares no events",
    "unchanged": "saving one whose event has not changed",
    "tick": "a tick with nothing due",
    "due": f"{DUE:,} due events that start {DUE:,} runs",
}


def run(*, quick: bool) -> dict[str, Any]:
    """Measure with a million pending events, or a few where a first look will do."""
    with servers.running() as own:
        results = compare.header("events", own, [], QUICK if quick else FULL)
        own.create(DATABASE)
        os.environ.update(DATABASE_URL=own.url(DATABASE), DJANGO_SETTINGS_MODULE="tests.settings")
        django.setup()
        from django.db import connections

        try:
            return {
                **results,
                "repeats": 1,
                "pending": PENDING[results["sizes"]],
                **_measure(PENDING[results["sizes"]]),
            }
        finally:
            connections.close_all()


def _measure(pending: int) -> dict[str, Any]:
    from django.core.management import call_command
    from django.db import connection
    from django.utils import timezone

    from django_ai.automation import broker
    from django_ai.automation.events import scheduler
    from tests.app.models import Appointment, Note

    broker.publisher = lambda *args, **options: None  # nobody listens here
    call_command("migrate", run_syncdb=True, verbosity=0)
    _declare_workflow()
    with connection.cursor() as cursor:
        cursor.execute(FILL, [pending])
        cursor.execute("ANALYZE django_ai_events_event")
    note = Note.objects.create()
    appointment = Appointment.objects.create(at=timezone.now() + timedelta(days=30))
    values = {
        "plain": _milliseconds(note.save, ROUNDS),
        "unchanged": _milliseconds(appointment.save, ROUNDS),
        "tick": _milliseconds(scheduler.occur_due, ROUNDS),
    }
    soon = timezone.now() + timedelta(milliseconds=1)
    for _ in range(DUE):
        Appointment.objects.create(at=soon)
    values["due"] = _milliseconds(scheduler.occur_due, 1)
    return {"values": values, "runs": _runs()}


def _declare_workflow() -> None:
    from django_ai.automation.workflows.core import complete, event_workflow, step

    @event_workflow("appointment_due")
    class Reminder:
        @step(start=True)
        def remind(self) -> object:
            return complete()


def _runs() -> int:
    from django_ai.automation.workflows.models import WorkflowRun

    return WorkflowRun.objects.count()


def _milliseconds(action: Callable[[], object], rounds: int) -> list[float]:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        times.append((time.perf_counter() - began) * 1000)
    return times


def markdown(results: dict[str, Any]) -> str:
    """Return the report."""
    if results["runs"] != DUE:
        raise RuntimeError(f"{DUE} events were due and started {results['runs']} runs")
    rows = [[TITLES[name], f"{number(Summary.of(values).median, 2)} ms"] for name, values in results["values"].items()]
    head = [f"with {results['pending']:,} pending events", "median"]
    return "\n\n".join([NOTICE, told(results), circumstances(results), table(head, rows)]) + "\n"
