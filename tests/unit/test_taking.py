"""A worker's task begins with connections that work, and ticks that piled up are done as one."""

import logging

import pytest
from celery import current_app
from django.db import connection

from django_ai.automation.events.tasks import tick as tick_of_events
from django_ai.automation.taking import TASK_LOGGERS, silence_ticks
from django_ai.automation.workflows.tasks import tick
from tests.integration.workflows.racing import elsewhere


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_died_is_replaced_before_the_next_task():
    connection.ensure_connection()
    connection.connection.close()
    connection.errors_occurred = True
    tick.before_start("id", (), {})
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_the_server_has_closed_is_replaced_though_nothing_has_failed_yet():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (process,) = cursor.fetchone()
    elsewhere(lambda: connection.cursor().execute("SELECT pg_terminate_backend(%s, 10000)", [process]))
    tick.before_start("id", (), {})
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


@pytest.mark.django_db(transaction=True)
def test_a_healthy_connection_is_kept():
    connection.close()  # one on which an earlier test's query failed is not healthy to Django
    connection.ensure_connection()
    before = connection.connection
    tick.before_start("id", (), {})
    assert connection.connection is before


def taken_by_a_worker(task):
    return task.apply().result


@pytest.mark.parametrize("task", [tick, tick_of_events], ids=lambda task: task.name)
def test_of_ticks_that_piled_up_a_worker_does_the_first_alone(task, monkeypatch):
    done = []
    monkeypatch.setattr(task, "run", lambda: done.append(1))
    monkeypatch.setattr(task, "_next", 0.0, raising=False)
    for _ in range(5):
        taken_by_a_worker(task)
    assert len(done) == 1
    for _ in range(5):
        task()
    assert len(done) == 6


def test_no_tick_is_dropped_by_a_worker_whose_clock_is_hours_ahead_of_beats():
    entries = [entry for entry in current_app.conf.beat_schedule.values() if entry["task"].startswith("django_ai.")]
    assert len(entries) >= 4
    assert min(entry["options"]["expires"] for entry in entries) >= 86_400


@pytest.fixture(params=TASK_LOGGERS)
def task_logger(request):
    """A logger of Celery's tasks at INFO, as a worker has it."""
    logger = logging.getLogger(request.param)
    before, filters = logger.level, list(logger.filters)
    logger.setLevel(logging.INFO)
    logger.filters.clear()  # a worker of an earlier test has left its own
    silence_ticks()
    silence_ticks()  # a worker that starts anew in the process
    assert len(logger.filters) == 1
    yield logger
    logger.setLevel(before)
    logger.filters[:] = filters


@pytest.mark.parametrize("task", [tick.name, tick_of_events.name])
def test_the_log_of_a_worker_at_info_has_no_ticks(task_logger, caplog, task):
    task_logger.info("Task %(name)s[%(id)s] received", {"id": "1", "name": task})
    assert caplog.messages == []


def test_other_tasks_and_failed_ticks_are_logged(task_logger, caplog):
    task_logger.info("Task %(name)s received", {"name": "django_ai.workflows.execute"})
    task_logger.error("Task %(name)s failed", {"name": tick.name})
    task_logger.info("no task at all")
    assert caplog.messages == [
        "Task django_ai.workflows.execute received",
        f"Task {tick.name} failed",
        "no task at all",
    ]


def test_ticks_are_logged_at_debug(task_logger, caplog):
    task_logger.setLevel(logging.DEBUG)
    task_logger.info("Task %(name)s received", {"name": tick.name})
    assert caplog.messages == [f"Task {tick.name} received"]
