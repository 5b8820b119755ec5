"""Each command moves a run as its documentation says."""

from datetime import timedelta

import pytest
from pydantic import BaseModel

from django_ai.automation.workflows.core import (
    Retry,
    SubflowResult,
    WorkflowStatus,
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


def test_steps_follow_each_other_and_leave_history(workflows):
    @workflow("chain")
    class Chain:
        class Context(BaseModel):
            seen: list[str] = []

        @step(start=True)
        def first(self):
            get_context().seen.append("first")
            return goto(self.second, progress=0.5)

        @step()
        def second(self):
            self.context.seen.append("second")
            return complete(display_title="Done")

    run = engine.start("chain")
    workflows.drain()
    run.refresh_from_db()
    assert run.status == WorkflowStatus.COMPLETED
    assert run.data == {"seen": ["first", "second"]}
    assert run.progress == 1.0
    assert run.completion_display == {"display_title": "Done", "display_subtitle": None}
    history = run.step_executions.values_list("step_name", "status", "attempts")
    assert list(history) == [("first", "completed", 1), ("second", "completed", 1)]


def test_a_sleeping_step_runs_again_after_its_time(workflows):
    @workflow("reminder")
    class Reminder:
        class Context(BaseModel):
            sent: int = 0

        @step(start=True)
        def remind(self):
            self.context.sent += 1
            return sleep(timedelta(hours=24)) if self.context.sent < 3 else complete()

    run = engine.start("reminder")
    workflows.advance(timedelta(hours=47))
    run.refresh_from_db()
    assert (run.status, run.data["sent"]) == ("suspended", 2)
    workflows.advance(timedelta(hours=2))
    run.refresh_from_db()
    assert (run.status, run.data["sent"]) == ("completed", 3)


def test_a_step_that_sleeps_after_its_wait_does_not_wait_again(workflows):
    @workflow("delayed")
    class Delayed:
        class Context(BaseModel):
            rested: bool = False

        @wait("paid", progress=0.5)
        @step(start=True)
        def ship(self):
            if self.context.rested:
                return complete()
            self.context.rested = True
            return sleep(timedelta(hours=1))

    run = engine.start(Delayed)
    assert run.progress == 0.5
    engine.signal("paid", run=run)
    workflows.advance(timedelta(hours=1))
    run.refresh_from_db()
    assert run.status == "completed"


def test_a_failing_step_backs_off_and_then_fails_the_run(workflows):
    @workflow("failing", default_retry=Retry(max_attempts=3, base_delay=timedelta(seconds=10)))
    class Failing:
        @step(start=True)
        def explode(self):
            raise ZeroDivisionError("boom")

    run = engine.start("failing")
    workflows.drain()
    run.refresh_from_db()
    assert (run.status, run.attempt) == ("suspended", 1)
    workflows.advance(timedelta(seconds=29))
    run.refresh_from_db()
    assert (run.status, run.attempt) == ("suspended", 2)
    workflows.advance(timedelta(seconds=1))
    run.refresh_from_db()
    assert (run.status, run.attempt) == ("failed", 3)
    execution = run.step_executions.get()
    assert execution.error == run.error == "ZeroDivisionError: boom"
    assert [failure["attempt"] for failure in execution.failures] == [1, 2, 3]


def test_a_signal_resumes_at_the_next_step_with_its_payload(workflows):
    @workflow("approval")
    class Approval:
        class Context(BaseModel):
            approved: bool = False

        @step(start=True)
        def ask(self):
            return wait.for_signal("approval", timeout=timedelta(days=7), on_timeout="expire")

        @step()
        def expire(self):
            return fail("expired")

        @step()
        def decide(self):
            return complete() if self.context.approved else fail("declined")

    run = engine.start("approval")
    late = engine.start("approval")
    workflows.drain()
    assert engine.signal("approval", {"approved": True, "unknown": 1}, run=run) == 1
    workflows.drain()
    run.refresh_from_db()
    assert run.status == "completed"
    workflows.advance(timedelta(days=8))
    late.refresh_from_db()
    assert (late.status, late.error) == ("failed", "expired")


def test_a_parent_resumes_with_its_childs_result(workflows):
    @workflow("child")
    class Child:
        class Context(BaseModel):
            value: int

        @step(start=True)
        def double(self):
            self.context.value *= 2
            return complete()

    @workflow("parent")
    class Parent:
        class Context(BaseModel):
            result: int = 0
            active_subworkflow_run_id: int | None = None

        @step(start=True)
        def begin(self):
            return run_subflow(Child, on_complete=self.after, value=21)

        @step()
        def after(self, subflow_result: SubflowResult):
            assert subflow_result.run_id == self.context.active_subworkflow_run_id
            return complete(result=subflow_result.context.value)

    run = engine.start("parent")
    workflows.drain()
    run.refresh_from_db()
    assert (run.status, run.data["result"]) == ("completed", 42)


def test_cancelling_a_run_cancels_its_children(workflows):
    @workflow("patient")
    class Patient:
        @step(start=True)
        def ask(self):
            return wait("never")

    @workflow("parent_of_patient")
    class Parent:
        @step(start=True)
        def begin(self):
            return run_subflow(Patient, on_complete=self.after)

        @step()
        def after(self, subflow_result):
            return complete()

    run = engine.start("parent_of_patient")
    workflows.drain()
    engine.cancel(run, "no longer needed")
    workflows.drain()
    run.refresh_from_db()
    assert (run.status, run.error) == ("cancelled", "no longer needed")
    assert run.child_runs.get().status == "cancelled"


@pytest.mark.parametrize("value", [None, {"a": 1}, goto("nowhere")])
def test_a_wrong_return_value_fails_the_run_at_once(workflows, value):
    @workflow("wrong")
    class Wrong:
        @step(start=True)
        def begin(self):
            return value

    run = engine.start("wrong")
    workflows.drain()
    run.refresh_from_db()
    assert (run.status, run.attempt) == ("failed", 1)
    assert "begin" in run.error or "nowhere" in run.error
