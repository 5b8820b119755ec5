"""What a run leaves behind when it moves: which step or message changed what, and what it waited for."""

from datetime import timedelta

import pytest
from pydantic import BaseModel

from django_ai.automation.workflows.core import (
    Retry,
    complete,
    engine,
    get_context,
    goto,
    run_subflow,
    sleep,
    step,
    wait,
    workflow,
)
from django_ai.automation.workflows.exceptions import FormFailed
from django_ai.automation.workflows.models import Signal, Suspension
from django_ai.automation.workflows.runtime import forms
from django_ai.automation.workflows.statezero_action import statezero_action

from .declared import declare_inquiry, reloaded


def waits_of(run):
    return list(run.past_waits.values_list("step_name", "kind", "name", "outcome"))


def test_a_step_leaves_what_it_changed_and_nothing_else(workflows):
    @workflow("counting")
    class Counting:
        class Context(BaseModel):
            count: int = 0
            name: str = "same"

        @step(start=True)
        def first(self):
            get_context().count += 1
            return goto(self.second)

        @step()
        def second(self):
            return complete(count=5)

    run = engine.start(Counting)
    workflows.drain()
    assert [item.changes for item in run.step_executions.all()] == [{"count": [0, 1]}, {"count": [1, 5]}]


def test_a_value_too_large_for_history_is_told_by_its_size(workflows, settings):
    settings.DJANGO_AI = {"MAX_CHANGE_BYTES": 10}

    @workflow("writing")
    class Writing:
        class Context(BaseModel):
            text: str = ""

        @step(start=True)
        def write(self):
            return complete(text="x" * 100)

    run = engine.start(Writing)
    workflows.drain()
    assert reloaded(run).data == {"text": "x" * 100}
    assert run.step_executions.get().changes == {"text": ["", {"__omitted__": 102}]}


def test_a_message_has_what_it_changed_and_the_number_of_the_wait_that_it_ended(workflows):
    run = engine.start(declare_inquiry())
    engine.signal("answer", {"text": "early", "number": 0}, run=run)
    workflows.drain()
    message = Signal.objects.get()
    assert (message.state, message.changes) == ("delivered", {"text": ["", "early"]})
    assert run.past_waits.get().sequence == message.sequence


def test_a_visit_whose_run_comes_back_to_the_step_is_kept_with_the_wait(workflows):
    attempts = []

    @workflow("reminding", default_retry=Retry(base_delay=timedelta(0)))
    class Reminding:
        class Context(BaseModel):
            reminders: int = 0

        @step(start=True)
        def remind(self):
            attempts.append(1)
            if len(attempts) == 1:
                raise OSError("no line")
            get_context().reminders += 1
            return sleep(3600) if get_context().reminders < 2 else complete()

    run = engine.start(Reminding)
    workflows.drain()
    visit = Suspension.objects.get().visit
    assert (visit["attempts"], visit["changes"]) == (2, {"reminders": [0, 1]})
    assert [failure["error"] for failure in visit["failures"]] == ["OSError: no line"]
    workflows.advance(timedelta(hours=1))
    assert run.past_waits.get().visit == visit
    assert waits_of(run) == [("remind", "timer", "", "due")]
    assert [item.changes for item in run.step_executions.all()] == [{"reminders": [1, 2]}]


def test_a_back_off_is_no_wait_of_its_own(workflows):
    @workflow("failing")
    class Failing:
        @step(start=True)
        def fail(self):
            raise OSError("always")

    run = engine.start(Failing)
    workflows.advance(timedelta(minutes=1))
    assert reloaded(run).status == "failed"
    assert waits_of(run) == []


def test_each_end_of_a_wait_is_told(workflows):
    @workflow("child")
    class Child:
        @step(start=True)
        def ask(self):
            return wait("never")

    @workflow("parent")
    class Parent:
        @wait.for_signal("go")
        @step(start=True)
        def begin(self):
            return wait("answer", timeout=60, on_timeout=self.delegate)

        @step()
        def delegate(self):
            return run_subflow(Child, on_complete=self.end, display_title="Wait")

        @step()
        def end(self):
            return complete()

    run = engine.start(Parent)
    engine.signal("go", run=run)
    workflows.advance(timedelta(minutes=2))
    engine.cancel(reloaded(run), "enough")
    assert waits_of(run) == [
        ("begin", "signal", "go", "answered"),
        ("begin", "signal", "answer", "timed out"),
        ("delegate", "child", "child", "cancelled"),
    ]
    # The run left the second wait for another step, so that visit has its row; it was cancelled during the third.
    assert [bool(past.visit) for past in run.past_waits.all()] == [False, False, True]
    assert [visit.step_name for visit in run.step_executions.all()] == ["begin"]


@pytest.mark.parametrize("died", [False, True], ids=["and was told so", "with its process"])
def test_a_form_that_times_out_was_not_answered_though_a_post_had_failed(workflows, died):
    @workflow("signing")
    class Signing:
        class Context(BaseModel):
            name: str = ""

        @statezero_action(name="sign_here", timeout=60, on_timeout="remind")
        @step(start=True)
        def sign(self, name: str):
            raise OSError("no ink")

        @wait.for_signal("go")
        @step()
        def remind(self):
            return complete()

    run = engine.start(Signing)
    workflows.drain()
    with pytest.raises(FormFailed):
        forms.submit(run.pk, forms.Post(action="sign_here", arguments={"name": "Ada"}), lambda run: run)
    if died:
        type(run).objects.filter(pk=run.pk).update(attempt=1, lease_until=run.created_at)
    workflows.advance(timedelta(minutes=2))
    assert waits_of(run) == [("sign", "form", "sign", "timed out")]
    assert reloaded(run).suspension.visit == {}
