"""Django signals tell what happens to runs, after it is in the database."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.dispatch import Signal

from django_ai.automation.workflows import signals
from django_ai.automation.workflows.core import complete, engine, goto, step, wait, workflow
from django_ai.automation.workflows.models import WorkflowRun
from django_ai.automation.workflows.runtime import notices, worker

from ..declared import declare_inquiry

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = {signal: name for name, signal in vars(signals).items() if isinstance(signal, Signal)}


@pytest.fixture
def heard():
    """Every signal that is sent: its name and its arguments."""
    sent = []

    def hear(signal, **arguments):
        sent.append((NAMES[signal], arguments))

    for signal in NAMES:
        signal.connect(hear)
    yield sent
    for signal in NAMES:
        signal.disconnect(hear)


def told(heard):
    return [(name, arguments["step"]) for name, arguments in heard]


def details(heard, name):
    return next(arguments for sent, arguments in heard if sent == name)


def test_a_run_is_told_from_start_to_end(workflows, journey, heard):
    run = engine.start(journey)
    workflows.advance(timedelta(seconds=3))
    engine.signal("morning", run=run)
    workflows.drain()
    assert told(heard) == [
        ("run_started", "leave"),
        ("step_started", "leave"),
        ("step_retried", "leave"),
        ("step_started", "leave"),
        ("run_suspended", "leave"),
        ("run_resumed", "rest"),
        ("step_started", "rest"),
        ("run_suspended", "rest"),
        ("run_resumed", "arrive"),
        ("step_started", "arrive"),
        ("step_completed", "arrive"),
        ("step_started", "unpack"),
        ("step_completed", "unpack"),
        ("run_completed", "unpack"),
    ]
    assert {arguments["run"].pk for _, arguments in heard} == {run.pk}
    assert {arguments["sender"] for _, arguments in heard} == {journey}


def test_each_signal_says_what_belongs_to_it(workflows, journey, heard):
    run = engine.start(journey, arrived=False)
    workflows.advance(timedelta(seconds=3))
    retried = details(heard, "step_retried")
    assert (retried["attempt"], retried["error"]) == (1, "OSError: no road")
    assert retried["due_at"] - retried["at"] == timedelta(seconds=1)
    slept = details(heard, "run_suspended")
    assert (slept["kind"], slept["name"]) == ("timer", "")
    assert slept["due_at"] - slept["at"] == timedelta(seconds=1)
    heard.clear()
    workflows.advance(timedelta(minutes=1))
    engine.signal("morning", run=run)
    workflows.drain()
    resumed = details(heard, "run_resumed")
    assert (resumed["kind"], resumed["name"]) == ("signal", "morning")
    assert resumed["waited"] >= timedelta(minutes=1)
    failed = details(heard, "run_failed")
    assert (failed["error"], failed["run"].status) == ("lost the way", "failed")
    assert details(heard, "step_failed")["error"] == "lost the way"


def test_a_persons_moves_are_told(heard):
    run = engine.start(declare_inquiry())
    worker.execute(run.pk, run.sequence, run.attempt)
    engine.cancel(run, "enough")
    cancelled = details(heard, "run_cancelled")
    assert (cancelled["reason"], cancelled["run"].status) == ("enough", "cancelled")
    # A wait that is given up has not ended.
    assert "run_resumed" not in [name for name, _ in heard]


def test_a_failed_run_that_is_taken_up_again_is_told(workflows, heard):
    run = engine.start(declare_inquiry(timeout=timedelta(minutes=1)))
    workflows.advance(timedelta(minutes=2))
    assert told(heard)[-3:] == [("run_resumed", "ask"), ("step_failed", "ask"), ("run_failed", "ask")]
    heard.clear()
    engine.retry(run)
    assert told(heard)[0] == ("run_retried", "ask")


def test_nothing_is_told_of_what_rolls_back(heard):
    with transaction.atomic():
        engine.start(declare_inquiry())
        transaction.set_rollback(True)
    assert heard == []


def test_a_receiver_sees_the_move_committed_and_outside_of_any_transaction():
    seen = []

    def look(run, **_):
        seen.append((WorkflowRun.objects.get(pk=run.pk).status, connection.in_atomic_block))

    run = engine.start(declare_inquiry())
    signals.run_suspended.connect(look)
    signals.step_started.connect(look)
    try:
        worker.execute(run.pk, run.sequence, run.attempt)
    finally:
        signals.run_suspended.disconnect(look)
        signals.step_started.disconnect(look)
    assert seen == [("running", False), ("suspended", False)]


def test_a_receiver_that_raises_is_logged_and_the_run_goes_on(workflows, heard, caplog):
    def fail(**_):
        raise RuntimeError("the receiver is broken")

    for signal in NAMES:
        signal.connect(fail)
    try:
        run = engine.start(declare_inquiry())
        workflows.drain()
        engine.signal("answer", run=run)
        workflows.drain()
    finally:
        for signal in NAMES:
            signal.disconnect(fail)
    run.refresh_from_db()
    assert run.status == "completed"
    assert "the receiver is broken" in caplog.text
    assert told(heard)[-1] == ("run_completed", "note")


def test_a_receiver_may_ask_for_one_workflow_alone(workflows):
    @workflow("other")
    class Other:
        @step(start=True)
        def begin(self):
            return complete()

    inquiry, got = declare_inquiry(), []

    def hear(run, **_):
        got.append(run.name)

    signals.run_started.connect(hear, sender=Other)
    try:
        engine.start(inquiry)
        engine.start(Other)
        workflows.drain()
    finally:
        signals.run_started.disconnect(hear, sender=Other)
    assert got == ["other"]


def test_a_signal_shows_the_run_as_it_was_then_though_it_moved_on_in_the_same_transaction(heard):
    with transaction.atomic():
        run = engine.start(declare_inquiry())
        run = engine.cancel(run)
    assert [(name, arguments["run"].status) for name, arguments in heard] == [
        ("run_started", "running"),
        ("run_cancelled", "cancelled"),
    ]


def test_each_signal_of_one_transaction_shows_the_run_as_it_was_after_its_own_move(heard):
    @workflow("two_steps")
    class TwoSteps:
        @step(start=True)
        def first(self):
            return goto(self.second)

        @step()
        def second(self):
            return complete()

    run = engine.start(TwoSteps)
    with transaction.atomic():  # as in a TestCase: all moves are told together, at its end
        worker.execute(run.pk, run.sequence, run.attempt)
    completed = [arguments["run"] for name, arguments in heard if name == "step_completed"]
    assert [(run.status, run.current_step) for run in completed] == [("running", "second"), ("completed", "second")]


def test_one_who_listens_brings_nothing_to_those_who_do_not(workflows, journey, caplog):
    caplog.set_level("WARNING", logger="django_ai")
    got = []

    def hear(**arguments):
        got.append(arguments["step"])

    signals.step_failed.connect(hear)
    try:
        engine.start(journey, stumbles=2)
        workflows.advance(timedelta(seconds=3))
    finally:
        signals.step_failed.disconnect(hear)
    assert got == ["leave"]
    assert "A listener failed" not in caplog.text


def test_a_run_that_begins_with_a_wait_is_told_as_suspended(heard):
    @workflow("patient")
    class Patient:
        @wait("go")
        @step(start=True)
        def begin(self):
            return complete()

    engine.start(Patient)
    assert told(heard) == [("run_started", "begin"), ("run_suspended", "begin")]


def test_while_nobody_listens_nothing_is_kept_for_the_commit(monkeypatch, caplog):
    caplog.set_level("WARNING", logger="django_ai")
    monkeypatch.setattr(notices, "replace", lambda *_, **__: pytest.fail("a notice was kept"))
    run = engine.start(declare_inquiry())
    worker.execute(run.pk, run.sequence, run.attempt)
    engine.cancel(run)
