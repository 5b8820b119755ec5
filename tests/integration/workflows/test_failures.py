"""Whatever a step does wrong, or is done to it, its run ends with a clear error or goes on exactly once."""

import logging
import threading
from datetime import timedelta
from functools import partial

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.test import override_settings
from pydantic import BaseModel, model_validator

from django_ai.automation import broker
from django_ai.automation.workflows.authoring.registry import registry
from django_ai.automation.workflows.core import (
    Retry,
    complete,
    engine,
    fail,
    get_context,
    goto,
    run_subflow,
    sleep,
    step,
    wait,
    workflow,
)
from django_ai.automation.workflows.exceptions import (
    ContextInvalid,
    ContextTooLarge,
    IllegalMove,
    NoStartStep,
    OutsideStep,
    UnknownWorkflow,
    WorkflowError,
)
from django_ai.automation.workflows.models import Suspension, WorkflowRun
from django_ai.automation.workflows.runtime import heartbeat, lanes, scheduler, worker

from .declared import declare_inquiry, reloaded
from .racing import elsewhere, needs

SOON = Retry(max_attempts=3, base_delay=timedelta(seconds=1), non_retryable=(KeyError,))


def declare_body(body, *, name="one_step", retry=SOON, **step_options):
    """Declare a workflow of one step that does what ``body(context)`` does."""

    @workflow(name, default_retry=retry)
    class OneStep:
        class Context(BaseModel):
            number: int = 0
            text: str = ""

        @step(start=True, **step_options)
        def begin(self):
            return body(get_context())

    return OneStep


def ended(workflows, body, **options):
    """Run a workflow of one step to its end."""
    run = engine.start(declare_body(body, **options))
    workflows.advance(timedelta(minutes=1))
    return reloaded(run)


def raising(error):
    def body(_context):
        raise error

    return body


def attempts_of(run):
    return run.step_executions.get().attempts


# What a step raises.


def test_each_failed_attempt_is_kept_with_its_traceback(workflows):
    run = ended(workflows, raising(OSError("away")))
    assert (run.status, run.error, attempts_of(run)) == ("failed", "OSError: away", 3)
    failures = run.step_executions.get().failures
    assert [failure["attempt"] for failure in failures] == [1, 2, 3]
    assert all("in body" in failure["traceback"] for failure in failures)


def test_an_exception_that_is_not_retryable_fails_at_once(workflows):
    run = ended(workflows, raising(KeyError("no use")))
    assert (run.status, attempts_of(run)) == ("failed", 1)


def test_the_attempts_of_one_step_do_not_count_against_another(workflows):
    seen = []

    @workflow("two", default_retry=SOON)
    class Two:
        @step(start=True)
        def first(self):
            seen.append("first")
            if seen.count("first") < 3:
                raise OSError
            return goto(self.second)

        @step()
        def second(self):
            seen.append("second")
            if seen.count("second") < 3:
                raise OSError
            return complete()

    run = engine.start(Two)
    workflows.advance(timedelta(minutes=1))
    assert reloaded(run).status == "completed"
    assert list(run.step_executions.values_list("step_name", "attempts")) == [("first", 3), ("second", 3)]


def test_a_retry_without_a_pause_runs_at_once(workflows):
    run = engine.start(declare_body(raising(OSError()), retry=Retry(max_attempts=4, base_delay=timedelta(0))))
    workflows.drain()
    run = reloaded(run)
    assert (run.status, attempts_of(run)) == ("failed", 4)


def test_what_a_failed_attempt_did_to_the_context_is_dropped(workflows):
    def body(context):
        context.number += 1
        if len(calls) < 2:
            calls.append(context.number)
            raise OSError
        return complete()

    calls = []
    run = ended(workflows, body)
    assert calls == [1, 1]
    assert (run.status, run.data["number"]) == ("completed", 1)


def test_an_atomic_step_is_rolled_back_when_it_raises(workflows):
    def body(_context):
        Group.objects.create(name=f"attempt {Group.objects.count()}")
        raise OSError

    assert ended(workflows, body).status == "failed"
    assert not Group.objects.exists()


def test_a_step_that_is_not_atomic_keeps_what_it_wrote_before_it_raised(workflows):
    def body(_context):
        Group.objects.create(name=f"attempt {Group.objects.count() + 1}")
        raise OSError

    assert ended(workflows, body, atomic=False).status == "failed"
    assert list(Group.objects.order_by("name").values_list("name", flat=True)) == [
        "attempt 1",
        "attempt 2",
        "attempt 3",
    ]


def test_a_step_that_ends_its_run_with_fail_keeps_what_it_wrote(workflows):
    def body(_context):
        Group.objects.create(name="written")
        return fail("declined")

    run = ended(workflows, body)
    assert (run.status, run.error, attempts_of(run)) == ("failed", "declined", 1)
    assert Group.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_fault_that_shows_only_at_the_commit_counts_as_the_steps_failure(workflows):
    def body(_context):
        Permission.objects.create(content_type_id=10**9, codename="of_nothing", name="x")
        return complete()

    run = ended(workflows, body)
    assert run.status == "failed"
    assert "IntegrityError" in run.error
    assert attempts_of(run) == 3


def test_an_error_that_no_database_takes_as_text_is_recorded_all_the_same(workflows, caplog):
    caplog.set_level(logging.CRITICAL + 1)  # pytest-xdist could not send such lines either
    run = ended(workflows, raising(ValueError("nul \0 and half a pair \ud800")))
    assert (run.status, run.error) == ("failed", r"ValueError: nul \x00 and half a pair \ud800")


# What a step returns or leaves behind.


@pytest.mark.parametrize("value", [None, {"a": 1}, "begin", 0, goto("nowhere"), wait("x", then="nowhere")])
def test_a_value_that_is_no_command_fails_the_run_at_once_and_rolls_back(workflows, value):
    def body(_context):
        Group.objects.create(name="written")
        return value

    run = ended(workflows, body)
    assert (run.status, attempts_of(run)) == ("failed", 1)
    assert "OneStep.begin (" in run.error or "'nowhere'" in run.error
    assert not Group.objects.exists()


def test_a_wrong_type_assigned_to_the_context_fails_the_run_and_names_the_field(workflows):
    def body(context):
        context.number = "many"
        return complete()

    run = ended(workflows, body)
    assert (run.status, attempts_of(run), run.data["number"]) == ("failed", 1, 0)
    assert "number: " in run.error


def test_a_wrong_type_given_to_complete_fails_the_run_and_names_the_field(workflows):
    run = ended(workflows, lambda context: complete(number="many"))
    assert (run.status, attempts_of(run)) == ("failed", 1)
    assert "number: " in run.error


def test_a_context_that_is_too_large_fails_the_run(workflows, settings):
    settings.DJANGO_AI = {"MAX_CONTEXT_BYTES": 1000}

    def body(context):
        context.text = "x" * 1000
        return complete()

    run = ended(workflows, body)
    assert (run.status, attempts_of(run), run.data["text"]) == ("failed", 1, "")
    assert "MAX_CONTEXT_BYTES" in run.error
    assert "1,000" in run.error


def test_a_negative_sleep_fails_the_run_at_once(workflows):
    run = ended(workflows, lambda context: sleep(-1))
    assert (run.status, attempts_of(run)) == ("failed", 1)
    assert "negative" in run.error


def test_a_progress_beyond_its_bounds_is_clamped(workflows):
    assert ended(workflows, lambda context: wait("x", progress=7)).progress == 1.0
    assert ended(workflows, lambda context: wait("x", progress=-7), name="below").progress == 0.0


# What a start is refused for.


def test_a_start_that_cannot_be_is_refused_and_leaves_nothing(workflows, settings):
    @workflow("no_start")
    class NoStart:
        @step()
        def end(self):
            return complete()

    declare_body(lambda context: complete())
    with pytest.raises(UnknownWorkflow, match="Did you mean 'one_step'"):
        engine.start("one_stop")
    with pytest.raises(NoStartStep, match="no_start"):
        engine.start("no_start")
    with pytest.raises(ContextInvalid, match=r"one_step.*number"):
        engine.start("one_step", number="many")
    settings.DJANGO_AI = {"MAX_CONTEXT_BYTES": 100}
    with pytest.raises(ContextTooLarge):
        engine.start("one_step", text="x" * 100)
    assert not WorkflowRun.objects.exists()


def test_a_rolled_back_start_starts_nothing(workflows):
    with transaction.atomic():
        run = engine.start(declare_body(lambda context: complete()))
        transaction.set_rollback(True)
    assert workflows.drain() == 0
    assert not WorkflowRun.objects.filter(pk=run.pk).exists()


def test_there_is_no_context_outside_of_a_step(workflows):
    with pytest.raises(OutsideStep):
        get_context()
    ended(workflows, lambda context: complete())
    with pytest.raises(OutsideStep):
        get_context()


# Code that went away.


def test_a_run_whose_workflow_is_gone_is_parked_and_goes_on_when_it_is_back(workflows):
    run = engine.start(declare_body(lambda context: complete()))
    definition = registry.find("one_step")
    registry.remove(definition)
    workflows.advance(timedelta(minutes=10))
    parked = reloaded(run)
    assert (parked.status, attempts_of(parked)) == ("failed", 12)
    assert "'one_step'" in parked.error
    registry.register(definition)
    engine.retry(run)
    workflows.drain()
    back = reloaded(run)
    assert (back.status, back.error) == ("completed", "")


def test_a_run_whose_step_is_gone_is_parked_and_goes_on_when_it_is_back(workflows):
    run = engine.start(declare_body(lambda context: complete()))
    WorkflowRun.objects.update(current_step="begun")
    workflows.advance(timedelta(minutes=10))
    parked = reloaded(run)
    assert (parked.status, attempts_of(parked)) == ("failed", 12)
    assert "'begun'" in parked.error
    assert "'begin'" in parked.error
    WorkflowRun.objects.update(current_step="begin")
    engine.retry(run)
    workflows.drain()
    assert reloaded(run).status == "completed"


def test_workers_that_lack_the_code_leave_all_attempts_to_those_that_have_it(workflows):
    run = engine.start(declare_body(lambda context: 1 / 0))
    definition = registry.find("one_step")
    registry.remove(definition)
    workflows.advance(timedelta(minutes=1))
    deploying = reloaded(run)
    assert (deploying.status, deploying.attempt) == ("suspended", 6)
    registry.register(definition)
    workflows.advance(timedelta(minutes=10))
    assert (reloaded(run).status, attempts_of(run)) == ("failed", 6 + 3)
    assert reloaded(run).error == "ZeroDivisionError: division by zero"


def test_workers_that_die_are_counted_apart_from_those_that_lack_the_code(workflows):
    run = engine.start(declare_body(lambda context: complete()))
    definition = registry.find("one_step")
    registry.remove(definition)
    workflows.drain()
    registry.register(definition)
    for attempt in (1, 2, 3):
        WorkflowRun.objects.filter(pk=run.pk).update(status="running", lease_until=None)
        assert lanes.take(run.pk, 1, attempt)  # and dies
    Suspension.objects.all().delete()
    WorkflowRun.objects.filter(pk=run.pk).update(lease_until=None)
    worker.execute(run.pk, 1, 4)
    parked = reloaded(run)
    assert (parked.status, attempts_of(parked)) == ("failed", 4)
    assert "in 3 of 3 attempts its worker gave no sign of life" in parked.error


def test_a_run_whose_context_no_longer_fits_is_parked(workflows):
    run = engine.start(declare_body(lambda context: complete()))
    WorkflowRun.objects.update(data={"number": "many"})
    workflows.drain()
    assert (reloaded(run).status, attempts_of(run)) == ("failed", 1)
    assert "number: " in reloaded(run).error


def test_a_context_whose_validator_breaks_is_parked_and_can_be_cancelled(workflows):
    @workflow("strict")
    class Strict:
        class Context(BaseModel):
            number: int | None = 1

            @model_validator(mode="after")
            def is_small(self):
                assert self.number < 10
                return self

        @step(start=True)
        def begin(self):
            return wait("go")

    parked, cancelled = engine.start("strict"), engine.start("strict")
    WorkflowRun.objects.update(data={"number": None})
    workflows.drain()
    assert (reloaded(parked).status, attempts_of(parked)) == ("failed", 1)
    assert "does not fit Strict.Context: TypeError: '<' not supported" in reloaded(parked).error.replace(
        "test_a_context_whose_validator_breaks_is_parked_and_can_be_cancelled.<locals>.", ""
    )
    WorkflowRun.objects.filter(pk=cancelled.pk).update(status="running", finished_at=None)
    engine.cancel(cancelled)
    assert reloaded(cancelled).status == "cancelled"


# What a step leaves to be done after its commit.


@pytest.mark.django_db(transaction=True)
def test_a_hook_that_fails_after_the_commit_takes_neither_other_hooks_nor_messages_with_it(workflows, caplog):
    called = []

    @workflow("hooked")
    class Hooked:
        @step(start=True, retry=Retry(max_attempts=1))
        def begin(self):
            for hook in (lambda: called.append("before"), partial(int, "x"), lambda: called.append("after")):
                transaction.on_commit(hook)
            return goto(self.elsewhere)

        @step(retry=Retry(max_attempts=1), queue="other")
        def elsewhere(self):
            return complete()

    run = engine.start("hooked")
    workflows.drain()
    assert called == ["before", "after"]
    assert reloaded(run).status == "completed"
    assert set(run.step_executions.values_list("attempts", flat=True)) == {1}
    assert "after its commit failed; the run goes on" in caplog.text
    assert "discarded" not in caplog.text


# Retries and cancellations by a person.


def test_a_failed_run_is_retried_with_all_its_attempts(workflows):
    calls = []

    def body(_context):
        calls.append(1)
        if len(calls) <= 5:
            raise OSError
        return complete()

    run = ended(workflows, body)
    assert (run.status, len(calls)) == ("failed", 3)
    engine.retry(run)
    assert (reloaded(run).status, reloaded(run).finished_at) == ("running", None)
    workflows.advance(timedelta(minutes=1))
    assert (reloaded(run).status, len(calls)) == ("completed", 6)
    assert list(run.step_executions.values_list("status", "attempts")) == [("failed", 3), ("completed", 3)]


def test_a_run_that_timed_out_waits_again_when_it_is_retried(workflows):
    run = engine.start(declare_inquiry(timeout=timedelta(hours=1)))
    workflows.advance(timedelta(hours=1))
    assert "'answer'" in reloaded(run).error
    engine.retry(run)
    workflows.drain()
    assert reloaded(run).waiting_signal == "answer"


@pytest.mark.parametrize("status", ["running", "suspended", "completed", "cancelled"])
def test_only_a_failed_run_can_be_retried(workflows, status):
    run = engine.start(declare_body(lambda context: complete()))
    WorkflowRun.objects.update(status=status)
    with pytest.raises(IllegalMove, match=status):
        engine.retry(run)
    assert reloaded(run).sequence == run.sequence


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_run_that_has_ended_cannot_be_cancelled(workflows, status):
    run = engine.start(declare_body(lambda context: complete()))
    WorkflowRun.objects.update(status=status)
    with pytest.raises(IllegalMove, match=status):
        engine.cancel(run)
    assert reloaded(run).status == status


# Workers that die.


def test_a_second_worker_takes_over_when_the_lease_has_run_out(workflows):
    run = engine.start(declare_body(lambda context: complete(number=1)))
    lost = lanes.take(run.pk, run.sequence, run.attempt)
    assert lanes.take(run.pk, run.sequence, run.attempt) is None
    assert lanes.take(run.pk, run.sequence, run.attempt + 1) is None, "its lease still holds"
    workflows.advance(timedelta(seconds=31))
    taken = reloaded(run)
    assert (taken.status, attempts_of(taken)) == ("completed", 2)
    assert [failure["attempt"] for failure in run.step_executions.get().failures] == [1]
    lanes.go_on(lost, worker.Turn(queue=None))  # the first worker was only slow
    assert reloaded(run).sequence == taken.sequence
    assert run.step_executions.count() == 1


def test_a_step_that_kills_its_worker_in_each_attempt_is_parked(workflows):
    run = engine.start(declare_body(lambda context: complete()))
    for attempt in range(3):
        assert lanes.take(run.pk, run.sequence, attempt)
        WorkflowRun.objects.update(lease_until=run.created_at - timedelta(seconds=1))
    workflows.drain()
    run = reloaded(run)
    assert (run.status, attempts_of(run)) == ("failed", 3)
    assert run.error.startswith("Step 'begin' was given up: in 3 of 3 attempts its worker gave no sign of life")
    failures = run.step_executions.get().failures
    assert [failure["attempt"] for failure in failures] == [1, 2, 3]
    assert all("no sign of life" in failure["error"] for failure in failures)


def test_a_lost_attempt_counts_along_with_failed_ones(workflows):
    calls = []

    def body(_context):
        calls.append(1)
        raise OSError("away")

    run = engine.start(declare_body(body))
    lanes.take(run.pk, run.sequence, 0)
    workflows.advance(timedelta(minutes=1))
    workflows.advance(timedelta(minutes=1))
    run = reloaded(run)
    assert (run.status, len(calls), attempts_of(run)) == ("failed", 2, 3)
    assert [failure["error"] for failure in run.step_executions.get().failures][1:] == ["OSError: away"] * 2


def test_a_step_that_failed_twice_and_then_lost_its_worker_says_how_often_that_was(workflows, ctrl_c):
    calls = []

    def body(_context):
        calls.append(1)
        if len(calls) < 3:
            raise OSError("away")
        ctrl_c()

    run = engine.start(declare_body(body))
    with pytest.raises(KeyboardInterrupt):
        workflows.advance(timedelta(minutes=1))
    workflows.advance(timedelta(minutes=1))
    run = reloaded(run)
    assert (run.status, len(calls)) == ("failed", 3)
    assert run.error.startswith("Step 'begin' was given up: in 1 of 3 attempts its worker gave no sign of life")


# The safety net.


def test_what_was_sent_again_is_not_sent_again_at_the_next_tick(workflows):
    runs = [engine.start(declare_body(lambda context: complete())) for _ in range(3)]
    engine.signal("x", run=runs[0])
    workflows._traveller.shift(timedelta(seconds=11))
    first = scheduler.resend_steps(), scheduler.resend_deliveries()
    assert first == (3, 0)
    assert (scheduler.resend_steps(), scheduler.resend_deliveries()) == (0, 0)
    workflows._traveller.shift(timedelta(seconds=9))
    assert scheduler.resend_steps() == 0
    workflows._traveller.shift(timedelta(seconds=2))
    assert scheduler.resend_steps() == 3


def seconds_at_which_it_is_sent_again(workflows, resend, seconds=400):
    """Let time pass with a tick each second, and return the seconds in which something was sent again."""
    sent = []
    for second in range(1, seconds + 1):
        workflows._traveller.shift(timedelta(seconds=1))
        if resend():
            sent.append(second)
    return sent


def test_what_waits_in_a_long_queue_is_sent_again_less_and_less_often(workflows):
    run = engine.start(declare_inquiry())
    assert seconds_at_which_it_is_sent_again(workflows, scheduler.resend_steps) == [10, 20, 40, 80, 160, 260, 360]
    workflows.drain()
    engine.signal("answer", run=run)
    again = seconds_at_which_it_is_sent_again(workflows, scheduler.resend_deliveries, seconds=200)
    assert again == [10, 20, 40, 80, 160]


def test_a_broker_within_the_process_is_asked_at_the_next_tick_for_what_another_process_sent(workflows, monkeypatch):
    monkeypatch.setattr(broker, "is_in_process", lambda: True)
    run = engine.start(declare_inquiry())
    again = seconds_at_which_it_is_sent_again(workflows, scheduler.resend_steps, seconds=100)
    assert again == [1, 2, 4, 8, 16, 32, 64]
    workflows.drain()
    engine.signal("answer", run=run)
    assert seconds_at_which_it_is_sent_again(workflows, scheduler.resend_deliveries, seconds=5) == [1, 2, 4]


def test_a_step_that_lost_its_worker_after_a_long_time_is_sent_again_as_soon_as_any_other(workflows):
    run = engine.start(declare_inquiry())
    workflows._traveller.shift(timedelta(seconds=300))
    lanes.take(run.pk, run.sequence, run.attempt)
    again = seconds_at_which_it_is_sent_again(workflows, scheduler.resend_steps, seconds=60)
    assert again == [31, 41, 51]


def test_a_wait_that_nobody_ends_is_asked_for_again_less_and_less_often(workflows):
    run = engine.start(declare_inquiry(timeout=timedelta(seconds=10), on_timeout="give_up"))
    worker.execute(run.pk, run.sequence, run.attempt)
    assert seconds_at_which_it_is_sent_again(workflows, scheduler.wake_due, seconds=100) == [10, 20, 30, 50, 90]


def test_a_lost_delivery_is_sent_again_once_in_a_while(workflows):
    run = engine.start(declare_inquiry())
    workflows.drain()
    engine.signal("answer")
    assert scheduler.resend_deliveries() == 0
    workflows._traveller.shift(timedelta(seconds=11))
    assert (scheduler.resend_deliveries(), scheduler.resend_deliveries()) == (1, 0)
    workflows.drain()
    assert reloaded(run).status == "completed"


def test_an_expired_lease_is_sent_again_once(workflows):
    run = engine.start(declare_body(lambda context: complete()))
    lanes.take(run.pk, run.sequence, run.attempt)
    workflows._traveller.shift(timedelta(seconds=29))
    assert scheduler.resend_steps() == 0
    workflows._traveller.shift(timedelta(seconds=2))
    assert (scheduler.resend_steps(), scheduler.resend_steps()) == (1, 0)


def test_every_error_of_the_engine_speaks_for_itself():
    kinds = [WorkflowError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
        assert str(kind()) == kind.__doc__


@pytest.mark.django_db(transaction=True)
def test_a_run_that_somebody_has_locked_keeps_no_other_from_having_its_lease_renewed():
    needs("has_select_for_update_skip_locked")
    locked, free = (engine.start(declare_body(lambda context: complete(), name=name)) for name in ("a", "b"))
    for run in (locked, free):
        lanes.take(run.pk, run.sequence, run.attempt)
    old = WorkflowRun.objects.values_list("lease_until", flat=True).get(pk=free.pk)
    with transaction.atomic():
        WorkflowRun.objects.select_for_update().get(pk=locked.pk)
        elsewhere(lambda: [heartbeat.renew((run.pk, run.sequence, 1)) for run in (locked, free)])
    assert reloaded(free).lease_until > old
    assert reloaded(locked).lease_until <= old


def test_a_heart_whose_thread_has_died_beats_again():
    heart = heartbeat.Heart()
    heart._thread = dead = threading.Thread(target=lambda: None)
    dead.start()
    dead.join()
    heart.keep((1, 1, 1))
    assert heart._thread.is_alive()
    heart.release((1, 1, 1))


def test_a_claim_is_renewed_until_all_have_let_go_of_it(monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    heart, fence = heartbeat.Heart(), (1, 1, 1)
    heart.keep(fence)
    heart.keep(fence)
    heart.release(fence)
    assert fence in heart._kept
    heart.release(fence)
    heart.release(fence)
    heart.keep(fence)
    assert heart._kept == {fence: 1}


@pytest.mark.parametrize("act", [engine.cancel, lambda run: engine.signal("answer", {"text": "x"}, run=run)])
def test_what_a_run_waits_for_is_read_where_it_is_written(workflows, act):
    class Router:
        """Sends reads to a replica, which this project lacks."""

        def db_for_read(self, model, **hints):
            return "replica" if model is Suspension else "default"

        def db_for_write(self, model, **hints):
            return "default"

        def allow_relation(self, *models, **hints):
            return True

    run = engine.start(declare_inquiry(timeout=3600))
    workflows.drain()
    with override_settings(DATABASE_ROUTERS=[Router()]):
        act(run)
        workflows.drain()
    assert reloaded(run).status in ("cancelled", "completed")
    assert not Suspension.objects.exists()


def test_a_step_that_is_entered_again_after_a_wait_has_its_arguments(workflows):
    @workflow("child")
    class Child:
        @step(start=True)
        def only(self):
            return complete()

    @workflow("parent")
    class Parent:
        class Context(BaseModel):
            rounds: int = 0

        @step(start=True)
        def begin(self):
            return run_subflow(Child, on_complete=self.ended)

        @step()
        def ended(self, subflow_result):
            self.context.rounds += 1
            if self.context.rounds == 1:
                return wait("never", timeout=60, on_timeout=self.ended)
            return complete(display_title=subflow_result.status.value)

    run = engine.start("parent")
    workflows.advance(timedelta(minutes=2))
    assert reloaded(run).completion_display["display_title"] == "completed"
