"""The testing kit runs runs to their ends, tells a test what it forgot, and stays quick in long loops."""

import traceback
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pydantic import BaseModel

from django_ai.automation import pytest_plugin
from django_ai.automation.testing import kit, workflow_testing
from django_ai.automation.workflows.core import (
    Retry,
    complete,
    engine,
    fail,
    goto,
    run_subflow,
    sleep,
    step,
    wait,
    workflow,
)
from django_ai.automation.workflows.exceptions import NotDeployed
from django_ai.automation.workflows.statezero_action import statezero_action


def declare(body, name="short", **options):
    class Short:
        class Context(BaseModel):
            number: int = 0
            laps: int = 0

        @step(start=True, **options)
        def begin(self, subflow_result=None):
            return body(self)

        @step()
        def end(self, subflow_result=None):
            return complete()

    return workflow(name)(Short)


def breaks(self):
    raise OSError("no line")


def test_a_run_is_started_and_run_to_its_end(workflows):
    run = workflows.run(declare(lambda self: complete(laps=self.context.number)), number=3)
    assert (run.status, run.data) == ("completed", {"number": 3, "laps": 3})


def test_a_run_that_was_started_otherwise_is_finished_and_refreshed(workflows):
    run = engine.using(tags=["vip"]).start(declare(lambda self: complete(laps=1)))
    assert workflows.finish(run) is run
    assert (run.status, run.data["laps"]) == ("completed", 1)


def test_the_clock_moves_past_sleeps_and_back_offs_and_no_further(workflows):
    attempts = []

    def body(self):
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError("no line")
        return sleep(timedelta(days=2), then="end")

    before = timezone.now()
    run = workflows.run(declare(body, retry=Retry(base_delay=timedelta(minutes=1))))
    assert run.status == "completed"
    assert timezone.now() - before == timedelta(days=2, minutes=3)


def test_the_error_of_the_step_is_raised_with_its_own_traceback(workflows):
    with pytest.raises(OSError, match="no line") as raised:
        workflows.run(declare(breaks, retry=Retry(max_attempts=3)))
    frames = [frame.name for frame in traceback.extract_tb(raised.tb)]
    assert frames[-1] == "breaks"
    (note,) = raised.value.__notes__
    assert "short #" in note
    assert "failed at step 'begin'" in note


def test_what_a_step_returned_wrongly_is_raised_too(workflows):
    with pytest.raises(Exception, match="must return"):
        workflows.run(declare(lambda self: 5))


def test_a_run_that_ended_by_fail_is_returned_though_an_attempt_before_had_raised(workflows):
    attempts = []

    def body(self):
        attempts.append(1)
        return breaks(self) if len(attempts) == 1 else fail("no credit")

    run = workflows.run(declare(body))
    assert (run.status, run.error) == ("failed", "no credit")


def test_a_run_that_was_retried_raises_no_error_of_its_first_failure(workflows):
    attempts = []

    def body(self):
        attempts.append(1)
        return breaks(self) if len(attempts) == 1 else complete()

    run = engine.start(declare(body, retry=Retry(max_attempts=1)))
    with pytest.raises(OSError, match="no line"):
        workflows.finish(run)
    engine.retry(run)
    assert workflows.finish(run).status == "completed"


def test_children_are_run_to_their_ends_and_their_sleeps_are_passed(workflows):
    child = declare(lambda self: sleep(3600, then="end"), name="child_of_short")
    run = workflows.run(declare(lambda self: run_subflow(child, "end")))
    assert (run.status, run.child_runs.get().status) == ("completed", "completed")


def test_a_run_that_only_ever_sleeps_is_given_up(workflows, monkeypatch):
    monkeypatch.setattr(kit, "MOST_PAUSES", 3)
    with pytest.raises(AssertionError, match=r"has not ended after 3 sleeps and pauses, the last at step 'begin'"):
        workflows.run(declare(lambda self: sleep(60)))


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (lambda self: wait("approved"), "step 'begin' waits for the signal 'approved'"),
        (lambda self: wait("approved", timeout=60), "step 'begin' waits for the signal 'approved'"),
        (lambda self: run_subflow("asking_child", "end"), "of its child asking_child #"),
    ],
)
def test_a_run_that_waits_for_somebody_is_not_finished_and_says_for_what(workflows, body, what):
    declare(lambda self: wait("approved"), name="asking_child")
    with pytest.raises(AssertionError, match="has not ended") as raised:
        workflows.run(declare(body))
    assert what in str(raised.value)


def test_a_run_that_waits_for_its_form_is_not_finished(workflows):
    @workflow("form_of_short")
    class Form:
        @statezero_action()
        @step(start=True)
        def fill_in(self):
            return complete()

    with pytest.raises(AssertionError, match="waits for the form 'fill_in'"):
        workflows.run(Form)


def test_a_run_whose_code_is_gone_is_not_finished_and_does_not_hang(workflows):
    from django_ai.automation.workflows.authoring.registry import registry

    run = engine.start(declare(lambda self: complete()))
    registry.remove(registry.find("short"))
    with pytest.raises(NotDeployed, match="No workflow 'short' is registered"):
        workflows.finish(run)


# What a test forgot.


def notes_of(test_fails_in):
    with pytest.raises(AssertionError) as raised:
        test_fails_in()
    return getattr(raised.value, "__notes__", [])


def fails_in_a_block(body):
    with workflow_testing() as kit:
        body(kit)
        raise AssertionError("'running' == 'completed'")


def fails_in_a_test(fixtures, error):
    call = pytest_plugin.pytest_runtest_call(SimpleNamespace(fixturenames=fixtures))
    next(call)
    call.throw(error)


@pytest.mark.django_db
def test_a_block_that_fails_before_anything_has_run_says_that_drain_was_forgotten():
    declare(lambda self: complete())
    (note,) = notes_of(lambda: fails_in_a_block(lambda kit: engine.start("short")))
    assert note.startswith("Nothing has run yet of what was started or sent: short #")
    assert "waits at 'begin'" in note
    assert "Call workflows.drain()" in note


def test_a_signal_that_is_not_delivered_is_told(workflows):
    run = engine.start(declare(lambda self: wait("approved")))
    workflows.drain()
    engine.signal("approved", run=run)
    (note,) = notes_of(lambda: fails_in_a_test(["workflows"], AssertionError("x")))
    assert "1 messages to runs are not delivered" in note


@pytest.mark.django_db
def test_a_test_without_the_fixture_is_told_to_use_it():
    runs = [engine.start(declare(lambda self: complete(), name=f"short{n}")) for n in range(5)]
    (note,) = notes_of(lambda: fails_in_a_test(["db"], AssertionError("x")))
    assert f"short0 #{runs[0].pk} waits at 'begin'" in note
    assert "2 more runs" in note
    assert "use the fixture workflows, or workflow_testing()" in note


def test_a_failure_is_told_nothing_where_everything_has_run(workflows):
    workflows.run(declare(lambda self: complete()))
    assert notes_of(lambda: fails_in_a_test(["workflows"], AssertionError("x"))) == []


def test_a_failure_without_a_database_is_left_as_it_is():
    assert notes_of(lambda: fails_in_a_test([], AssertionError("x"))) == []


@pytest.mark.django_db
def test_a_failure_is_told_once():
    declare(lambda self: complete())

    def both():
        call = pytest_plugin.pytest_runtest_call(SimpleNamespace(fixturenames=["db"]))
        next(call)
        try:
            fails_in_a_block(lambda kit: engine.start("short"))
        except AssertionError as error:
            call.throw(error)

    assert len(notes_of(both)) == 1


# Long loops.


def statements_of(workflows, way, laps):
    def body(self):
        self.context.laps += 1
        if self.context.laps >= self.context.number:
            return complete()
        return {"goto": goto("begin"), "sleep": sleep(60), "no sleep": sleep(0)}[way]

    run = engine.start(declare(body), number=laps)
    with CaptureQueriesContext(connection) as queries:
        workflows.finish(run)
    assert run.data["laps"] == laps
    return len(queries)


@pytest.mark.parametrize("way", ["goto", "no sleep", "sleep"])
def test_each_lap_of_a_loop_costs_the_same_however_long_it_is(workflows, way):
    short, middle, long = (statements_of(workflows, way, laps) for laps in (20, 40, 80))
    assert long - middle <= 2.1 * (middle - short)


def test_a_step_that_exits_fails_the_test_and_does_not_end_it(workflows):
    def exits(self):
        raise SystemExit("out of paper")

    with pytest.raises(AssertionError, match="out of paper") as raised:
        workflows.run(declare(exits, retry=Retry(max_attempts=1)))
    assert isinstance(raised.value.__cause__, SystemExit)
