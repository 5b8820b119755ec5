"""How long the admin's pages take on the server with a million runs.

Run it against a PostgreSQL that may be written to; it makes a test database and drops it again:

    DATABASE_URL=postgresql://user@host/name python -m benchmarks.run_list [runs]
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable
from time import perf_counter, process_time

import django
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

ROUNDS = 9
ADMIN = "/admin/django_ai_workflows"

# Of a thousand runs 950 have completed, 30 wait, 10 have failed, 5 were cancelled and 5 are running.
RUNS = """
INSERT INTO django_ai_workflows_workflowrun
    (name, version, status, current_step, sequence, attempt, progress, data, inputs, failures, error,
     completion_display, trace_context, created_at, updated_at, finished_at, dispatched_at)
SELECT (ARRAY['order', 'payment', 'shipment', 'reminder', 'onboarding'])[1 + n % 5], '1',
       CASE WHEN n % 1000 < 950 THEN 'completed' WHEN n % 1000 < 980 THEN 'suspended'
            WHEN n % 1000 < 990 THEN 'failed' WHEN n % 1000 < 995 THEN 'cancelled' ELSE 'running' END,
       (ARRAY['reserve', 'pay', 'ship'])[1 + n % 3], 6, 1, 0.6,
       jsonb_build_object('order_id', n, 'customer', 'customer ' || n, 'note', repeat('x', 200)), '{}', '[]',
       CASE WHEN n % 1000 BETWEEN 980 AND 989 THEN 'ValueError: out of stock' ELSE '' END, '{}', '{}',
       now() - make_interval(secs => total - n), now(), now() - make_interval(secs => total - n), now()
FROM generate_series(1, %s) AS n, (SELECT %s AS total) AS size
"""
SUSPENSIONS = """
INSERT INTO django_ai_workflows_suspension (run_id, kind, name, resumes_body, display, visit, created_at, due_at)
SELECT id, (ARRAY['signal', 'signal', 'timer', 'child', 'form'])[1 + id % 5], 'go', false, '{}', '{}', now(),
       now() + interval '1 day'
FROM django_ai_workflows_workflowrun WHERE status = 'suspended'
"""
STEPS = """
INSERT INTO django_ai_workflows_stepexecution
    (run_id, sequence, step_name, status, attempts, error, failures, changes, started_at, created_at)
SELECT id, 1, 'reserve', 'completed', 1, '', '[]', '{}', created_at, created_at + interval '20 milliseconds'
FROM django_ai_workflows_workflowrun
"""
TAGS = """
INSERT INTO django_ai_workflows_runtag (run_id, name)
SELECT id, 'vip' FROM django_ai_workflows_workflowrun WHERE id % 100 = 0
"""

PAGES = {
    "the list": "/workflowrun/",
    "its page 100": "/workflowrun/?p=100",
    "status: failed": "/workflowrun/?status=failed",
    "status: completed": "/workflowrun/?status=completed",
    "workflow": "/workflowrun/?workflow=order",
    "workflow and status": "/workflowrun/?workflow=order&status=running",
    "workflow without runs": "/workflowrun/?workflow=nothing",
    "version without runs": "/workflowrun/?workflow=order&version=9",
    "step": "/workflowrun/?workflow=order&step=pay",
    "step without runs": "/workflowrun/?workflow=order&step=nowhere",
    "waiting for a form": "/workflowrun/?waits=form",
    "waiting for an event (none does)": "/workflowrun/?waits=event",
    "stuck": "/workflowrun/?stuck=yes",
    "started in the past hour": "/workflowrun/?started=hour",
    "started over 30 days ago": "/workflowrun/?started=older",
    "search: number": "/workflowrun/?q=4711",
    "search: tag": "/workflowrun/?q=tag:vip",
    "search: value of the context": "/workflowrun/?q=order_id=999000",
    "search: value that no run has": "/workflowrun/?q=order_id=-1",
    "the workflows": "/workflow/",
}


def measure(count: int) -> None:
    """Print the figures."""
    from django.contrib.auth import get_user_model

    fill(count)
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("benchmark"))
    print(f"{count:,} runs; medians of {ROUNDS} requests, in ms; load of the machine {os.getloadavg()[0]:.1f}")
    print(f"{'page':<36} {'all':>8} {'in SQL':>8} {'CPU of Python':>14} {'statements':>11}")
    for name, path in [*PAGES.items(), ("a run", f"/workflowrun/{count // 2}/change/")]:
        whole, sql, cpu, statements = timed(client, ADMIN + path)
        print(f"{name:<36} {whole:>8.1f} {sql:>8.1f} {cpu:>14.1f} {statements:>11}")


def fill(count: int) -> None:
    """Write the runs, a few statements for all."""
    with connection.cursor() as cursor:
        cursor.execute(RUNS.replace("%", "%%").replace("%%s", "%s"), [count, count])
        for statement in (SUSPENSIONS, STEPS, TAGS):
            cursor.execute(statement)
    with connections["default"].cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def timed(client: Client, path: str) -> tuple[float, float, float, int]:
    """Return of a page the whole time, that in the database, that of Python's own work, and the statements."""
    with CaptureQueriesContext(connection) as queries:
        response = client.get(path)
        assert response.status_code == 200, f"{path}: {response.status_code}"
        statements = len(queries)
    whole, sql, cpu = [], [], []
    for _ in range(ROUNDS):
        in_sql: list[float] = []
        with connection.execute_wrapper(_timing(in_sql)):
            started, worked = perf_counter(), process_time()
            client.get(path)
            whole.append((perf_counter() - started) * 1000)
            cpu.append((process_time() - worked) * 1000)
        sql.append(sum(in_sql))
    return statistics.median(whole), statistics.median(sql), statistics.median(cpu), statements


def _timing(times: list[float]) -> Callable[..., object]:
    def timed_execute(execute: Callable[..., object], *args: object) -> object:
        started = perf_counter()
        try:
            return execute(*args)
        finally:
            times.append((perf_counter() - started) * 1000)

    return timed_execute


def main() -> None:
    """Make a database of its own, measure, and drop it."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    if connection.vendor != "postgresql":
        sys.exit("Set DATABASE_URL to a PostgreSQL: the figures are about its indexes.")
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
    finally:
        connections.close_all()
        connection.creation.destroy_test_db(name, verbosity=0)


if __name__ == "__main__":
    main()
