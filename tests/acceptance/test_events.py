"""Two workers and two beats at once, one of each killed on the way, start each workflow once for an event."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.acceptance.books import Books
from tests.acceptance.conftest import ENGINE
from tests.acceptance.processes import Beat, Worker, environment, manage, wait_until
from tests.servers import PostgresServer, RedisServer

PATIENCE = 300
DAY = 4  # seconds: an appointment is two days ahead, its reminder goes out a day before
BOOKINGS = 500

BOOK = """
from datetime import timedelta
from django.db import transaction
from django.utils import timezone
from appointments.models import Appointment
for start in range(0, {count}, 25):
    with transaction.atomic():
        for number in range(start, start + 25):
            at = timezone.now() + timedelta(seconds={seconds})
            Appointment.objects.create(customer="Customer %s" % number, email="c@example.com", at=at)
"""

EVENTS = "SELECT name, status FROM django_ai_events_event"
STARTED = """
    SELECT name, count(*), count(DISTINCT triggered_by_event_id) FROM django_ai_workflows_workflowrun
    WHERE status = 'completed' GROUP BY name ORDER BY name
"""


@pytest.fixture
def installation(own_postgres: PostgresServer, own_redis: RedisServer) -> dict[str, str]:
    engine = {**ENGINE, "LEASE_SECONDS": 3}
    env = environment(own_postgres.url, own_redis.url, SHOP_DJANGO_AI=json.dumps(engine), SHOP_DAY_SECONDS=str(DAY))
    manage("migrate", "--verbosity=0", env=env)
    return env


def test_500_bookings_start_each_workflow_once(installation: dict[str, str], own_postgres: PostgresServer) -> None:
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(installation)) for _ in range(2)]
        beats = [stack.enter_context(Beat(installation)) for _ in range(2)]
        books = Books(own_postgres.url)
        stack.callback(books.close)
        book = BOOK.format(count=BOOKINGS // 2, seconds=2 * DAY)
        with ThreadPoolExecutor(2) as pool:
            booking = [pool.submit(manage, "shell", "-c", book, env=installation) for _ in range(2)]
            wait_until(lambda: books.rows(STARTED), PATIENCE, "a workflow starts")
            workers[0].kill()
            beats[0].kill()
            for booked in booking:
                booked.result()
        workers[0].start()

        def all_have_run() -> bool:
            return sum(row[1] for row in books.rows(STARTED)) >= 2 * BOOKINGS

        wait_until(all_have_run, PATIENCE, f"{2 * BOOKINGS} runs end ({books.rows(STARTED)})")
        wait_until(lambda: ("appointment_due", "pending") not in books.rows(EVENTS), PATIENCE, "all events occur")
        assert books.rows(STARTED) == [
            ("appointment_booked:AppointmentConfirmation", BOOKINGS, BOOKINGS),
            ("appointment_due:AppointmentReminder", BOOKINGS, BOOKINGS),
        ]
        assert Counter(books.rows(EVENTS)) == {
            ("appointment_booked", "occurred"): BOOKINGS,
            ("appointment_due", "occurred"): BOOKINGS,
        }
        assert books.all_ended()
        # How they end is no matter here, and Celery does not hear SIGTERM while it is still starting.
        for process in (*workers, *beats):
            process.kill()
