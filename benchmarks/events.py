"""What events cost: saving, the scan for what is due, and a thousand runs at once.

Run it against a PostgreSQL that may be written to; it makes a test database and drops it again:

    DATABASE_URL=postgresql://user@host/name python -m benchmarks.events [pending events]
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable
from datetime import timedelta
from time import perf_counter

import django
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

ROUNDS = 300
DUE = 1000

PENDING = """
INSERT INTO django_ai_events_event
    (name, entity_type, entity_id, at, correlation, data, status, next_due_at, armed_at, deliveries,
     failures, by_hand, note, created_at)
SELECT 'benchmark', '', n::text, now() + interval '1 year', n::text, '{}', 'pending',
       now() + interval '1 year', now(), '{}', 0, false, '', now()
FROM generate_series(1, %s) AS n
"""


def median_ms(action: Callable[[], object]) -> float:
    """Return the median time of an action in milliseconds."""
    times = []
    for _ in range(ROUNDS):
        started = perf_counter()
        action()
        times.append((perf_counter() - started) * 1000)
    return statistics.median(times)


def measure(pending: int) -> None:
    """Print the figures."""
    from django.utils import timezone

    from django_ai.automation.events import scheduler
    from django_ai.automation.workflows.core import complete, event_workflow, step
    from django_ai.automation.workflows.models import WorkflowRun
    from tests.app.models import Appointment, Note

    @event_workflow("appointment_due")
    class Reminder:
        @step(start=True)
        def remind(self) -> object:
            return complete()

    with connection.cursor() as cursor:
        cursor.execute(PENDING, [pending])
        cursor.execute("ANALYZE django_ai_events_event")
    note = Note.objects.create()
    appointment = Appointment.objects.create(at=timezone.now() + timedelta(days=30))
    print(f"pending events                     {pending:>12,}")
    print(f"save without events                {median_ms(note.save):>12.2f} ms")
    print(f"save with an unchanged event       {median_ms(appointment.save):>12.2f} ms")
    print(f"a tick with nothing due            {median_ms(scheduler.occur_due):>12.2f} ms")
    for _ in range(DUE):
        Appointment.objects.create(at=timezone.now() + timedelta(milliseconds=1))
    started = perf_counter()
    with CaptureQueriesContext(connection) as queries:
        scheduler.occur_due()
    seconds = perf_counter() - started
    print(f"{DUE:,} due events → {WorkflowRun.objects.count():,} runs    {seconds:>12.2f} s, {len(queries)} queries")


def main() -> None:
    """Make a database of its own, measure, and drop it."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    if connection.vendor != "postgresql":
        sys.exit("Set DATABASE_URL to a PostgreSQL: the figures are about its indexes.")
    from django_ai.automation import broker

    broker.publisher = lambda *args, **options: None  # nobody listens here
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
    finally:
        connections.close_all()
        connection.creation.destroy_test_db(name, verbosity=0)


if __name__ == "__main__":
    main()
