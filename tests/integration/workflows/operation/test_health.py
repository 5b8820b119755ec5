"""Signs of life are measured, and what is behind is found."""

import threading
from datetime import timedelta
from math import inf

import pytest
from celery import current_app
from celery.signals import after_task_publish, beat_init
from django.db import OperationalError, connection
from django.utils import timezone

from django_ai.automation import broker
from django_ai.automation.events import emit
from django_ai.automation.events.models import Event
from django_ai.automation.workflows import health, receivers, tasks
from django_ai.automation.workflows.core import complete, engine, step, workflow
from django_ai.automation.workflows.health import Grade, gathering
from django_ai.automation.workflows.models import Pulse, Signal, Suspension, WorkflowRun
from django_ai.automation.workflows.runtime import inbox, lanes, pulses, worker
from django_ai.automation.workflows.runtime.stuck import stuck

from ..declared import declare_inquiry

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(monkeypatch):
    """The messages that would go to the broker; those to a queue are asked and answered by hand."""
    messages = []
    monkeypatch.setattr(broker, "publisher", lambda task, args, **options: messages.append((task, args, options)))
    return messages


@pytest.fixture
def tick(monkeypatch, django_capture_on_commit_callbacks):
    """Tick as a worker does, never throttled."""

    def tick():
        monkeypatch.setattr(pulses, "_throttle", pulses._Throttle())
        with django_capture_on_commit_callbacks(execute=True):
            tasks.tick()

    return tick


def questions(sent):
    return [(args, options["queue"]) for task, args, options in sent if task == "django_ai.workflows.pulse"]


def declare_slow():
    @workflow("slow", queue="slow")
    class Slow:
        @step(start=True)
        def begin(self):
            return complete()

    return Slow


def found(name):
    return next(check for check in health.report().checks if check.name == name)


def past(**span):
    return timezone.now() - timedelta(**span)


def test_a_tick_stamps_and_asks_each_queue_and_the_answer_measures_what_the_message_waited(sent, tick):
    declare_slow()
    tick()
    assert sorted(queue for _, queue in questions(sent)) == ["celery", "slow"]
    assert Pulse.objects.get(pk="tick").at is not None
    for args, queue in questions(sent):
        moment = past(seconds=5).isoformat() if queue == "slow" else args[1]
        tasks.pulse(args[0], moment)
    lags = {pulse.name: pulse.lag for pulse in Pulse.objects.filter(pk__startswith="queue:")}
    # SQLite tells the time to the millisecond.
    assert 4.99 <= lags["queue:slow"] < 60
    assert 0 <= lags["queue:celery"] < 5
    assert not Pulse.objects.filter(asked_at__isnull=False).exists()


def test_a_queue_that_owes_an_answer_is_not_flooded_with_questions(sent, tick):
    tick()
    tick()
    assert len(questions(sent)) == 1
    first = Pulse.objects.get(pk="queue:celery").asked_at
    Pulse.objects.filter(pk="queue:celery").update(sent_at=past(minutes=1))
    tick()
    assert len(questions(sent)) == 2
    # The first question may have been lost; the debt dates from it all the same.
    assert Pulse.objects.get(pk="queue:celery").asked_at == first


def test_a_queue_is_asked_again_an_interval_after_it_answered(sent, tick):
    tick()
    tasks.pulse(*questions(sent)[0][0])
    tick()
    assert len(questions(sent)) == 1
    Pulse.objects.update(at=past(seconds=11))
    tick()
    assert len(questions(sent)) == 2


def test_most_ticks_write_nothing(sent, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(pulses, "_throttle", pulses._Throttle())
    pulses.after_tick()
    with django_assert_num_queries(0):
        pulses.after_tick()


def test_a_question_carries_an_end_so_that_a_dead_queue_does_not_fill_up(sent, tick):
    tick()
    [options] = [options for task, _, options in sent if task == "django_ai.workflows.pulse"]
    assert options["expires"] >= 60


@pytest.mark.django_db(transaction=True)
def test_beat_that_sends_ticks_writes_that_down_by_a_thread_of_its_own(monkeypatch):
    written = threading.Event()

    def testify():
        testified()
        written.set()

    testified = pulses.testify
    monkeypatch.setattr(pulses, "testify", testify)
    after_task_publish.send(sender="django_ai.workflows.tick")  # as a worker sends one when it starts
    beat_init.send(sender=None)
    try:
        after_task_publish.send(sender="some.other.task")
        assert not written.is_set()
        after_task_publish.send(sender="django_ai.workflows.tick")
        assert written.wait(60)
    finally:
        after_task_publish.disconnect(receivers._witness, sender="django_ai.workflows.tick")
        receivers._witness._sent = -inf  # the thread ends instead of looking again
    assert Pulse.objects.get().name == "beat"


def test_beat_does_not_die_of_a_database_that_is_away(monkeypatch, caplog):
    def away(*_, **__):
        raise OperationalError("the server went away")

    monkeypatch.setattr(pulses, "stamp", away)
    monkeypatch.setattr(pulses.connections, "close_all", lambda: None)
    pulses.testify()
    assert "Could not write down that beat ticks" in caplog.text


def test_all_is_well_while_all_speak(sent, tick):
    pulses.stamp(pulses.BEAT)
    tick()
    for args, _ in questions(sent):
        tasks.pulse(*args)
    assert health.report().grade is Grade.OK


def test_what_stands_still_is_found_by_its_own_check(sent):
    waiting = engine.start(declare_inquiry())
    WorkflowRun.objects.update(updated_at=past(minutes=10))
    sleeping = engine.start(declare_inquiry("late", timeout=timedelta(minutes=1)))
    worker.execute(sleeping.pk, sleeping.sequence, sleeping.attempt)
    Suspension.objects.update(due_at=past(minutes=10))
    emit("noted")
    Event.objects.update(next_due_at=past(minutes=10))
    report = {check.name: check for check in health.report().checks}
    assert report["steps"].data["count"] == 1
    assert report["timers"].data["count"] == 1
    assert report["events"].data["count"] == 1
    assert report["stuck runs"].data["runs"] == [waiting.pk, sleeping.pk]
    assert {report[name].grade for name in ("steps", "timers", "events", "stuck runs")} == {Grade.FAIL}


def test_a_message_that_nobody_delivered_is_found(sent):
    run = engine.start(declare_inquiry())
    inbox.post_many([Signal(run_id=run.pk, kind="signal", name="of other code")])
    worker.execute(run.pk, run.sequence, run.attempt)
    assert found("messages").data["count"] == 0
    engine.signal("answer", run=run)
    run.signals.update(created_at=past(minutes=1))
    assert (found("messages").data["count"], found("messages").grade) == (1, Grade.WARN)


def test_a_step_that_runs_long_is_not_stuck(sent):
    run = engine.start(declare_inquiry())
    lanes.take(run.pk, run.sequence, run.attempt)
    WorkflowRun.objects.update(updated_at=past(hours=10))
    assert stuck("default") == []
    WorkflowRun.objects.update(lease_until=past(hours=1))
    assert stuck("default") == [run.pk]


def test_neither_ended_runs_nor_patient_ones_are_stuck(sent):
    ended = engine.start(declare_inquiry())
    engine.cancel(ended)
    patient = engine.start(declare_inquiry())
    worker.execute(patient.pk, patient.sequence, patient.attempt)
    WorkflowRun.objects.update(updated_at=past(days=300))
    assert stuck("default") == []


def test_a_database_that_is_away_is_a_failed_check_and_no_exception(monkeypatch):
    def away(*_):
        raise OperationalError("connection refused\nIs the server running?")

    monkeypatch.setattr(gathering.clock, "read", away)
    report = health.report()
    assert report.grade is Grade.FAIL
    assert report.checks[0].value == "OperationalError: connection refused"


def test_a_broker_that_is_away_is_a_failed_check(monkeypatch):
    monkeypatch.setattr(current_app.conf, "broker_write_url", "redis://:secret@127.0.0.1:1//")
    check = found("broker")
    assert check.grade is Grade.FAIL
    assert "127.0.0.1:1" in check.value
    assert "secret" not in check.value


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/13", "redis://127.0.0.1:6379/13"),
        ("redis://:secret@127.0.0.1:6379/13", "redis://:**@127.0.0.1:6379/13"),
        ("amqp://shop:secret@rabbit//", "amqp://shop:**@rabbit:5672//"),
        ("amqp://shop@rabbit//", "amqp://shop@rabbit:5672//"),
    ],
)
def test_a_brokers_address_keeps_its_password(monkeypatch, url, shown):
    monkeypatch.setattr(current_app.conf, "broker_write_url", url)
    assert broker.address() == shown


def test_health_asks_a_fixed_number_of_questions(sent, django_assert_max_num_queries):
    for _ in range(5):
        engine.start(declare_inquiry())
    declare_slow()
    with django_assert_max_num_queries(9):
        health.report()


@pytest.mark.postgres
def test_health_looks_at_no_run_that_has_ended(sent, django_assert_max_num_queries):
    """No check reads the whole table: each finds its rows by an index."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    with django_assert_max_num_queries(10) as asked:
        health.report()
    tables = [f"django_ai_workflows_{name}" for name in ("workflowrun", "suspension", "signal")]
    found = [query["sql"] for query in asked.captured_queries if any(table in query["sql"] for table in tables)]
    plans = []
    with connection.cursor() as cursor:
        for sql in found:
            cursor.execute(f"EXPLAIN {sql}")
            plans += [line for (line,) in cursor.fetchall()]
    assert len(found) == 6
    assert [line for line in plans if any(f"Seq Scan on {table}" in line for table in tables)] == []
