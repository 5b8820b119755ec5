"""What a person does to a run: edit its context, wake it, begin it anew from an earlier step."""

from datetime import timedelta

import pytest
from pydantic import BaseModel

from django_ai.automation.workflows.core import (
    Retry,
    SubflowResult,
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
from django_ai.automation.workflows.exceptions import ContextInvalid, IllegalMove, SignalRejected
from django_ai.automation.workflows.models import Signal
from django_ai.automation.workflows.runtime import past

from .declared import declare_inquiry, reloaded


@pytest.fixture
def order(workflows):
    """A run that has failed in its third step, for want of a price."""

    @workflow("order")
    class Order:
        class Context(BaseModel):
            items: int = 1
            price: int = 0
            log: list[str] = []

        @step(start=True)
        def check(self):
            get_context().log.append("check")
            return goto(self.ask)

        @step()
        def ask(self):
            get_context().log.append("ask")
            return wait("price", then=self.charge)

        @step()
        def charge(self):
            get_context().log.append("charge")
            return complete() if get_context().price > 0 else fail("no price", retryable=True)

    run = engine.using(tags=["vip"]).start(Order)
    workflows.drain()
    engine.signal("price", {"price": -1}, run=run)
    workflows.drain()
    run = reloaded(run)
    assert run.status == "failed"
    return run


def test_an_edit_changes_the_context_alone_and_is_told(order, workflows):
    engine.edit(order, price="7", unknown=1)
    run = reloaded(order)
    assert (run.status, run.sequence, run.data["price"]) == ("failed", order.sequence, 7)
    message = Signal.objects.get(kind="edit")
    assert (message.state, message.payload, message.changes) == ("delivered", {"price": "7"}, {"price": [-1, 7]})
    engine.retry(run)
    workflows.drain()
    assert reloaded(run).status == "completed"


def test_an_edit_that_does_not_fit_changes_nothing(order):
    with pytest.raises(ContextInvalid, match="price"):
        engine.edit(order, price="much")
    assert reloaded(order).data == order.data
    assert not Signal.objects.filter(kind="edit").exists()


def test_a_context_that_no_longer_fits_can_be_mended(order, workflows):
    type(order).objects.update(data={**order.data, "items": "many"})
    with pytest.raises(ContextInvalid):
        engine.edit(order, price=1)
    engine.edit(order, price=1, items=2)
    assert reloaded(order).data["items"] == 2


def test_a_waiting_run_waits_on_after_an_edit(workflows):
    run = engine.start(declare_inquiry())
    workflows.drain()
    engine.edit(run, number=5)
    engine.signal("answer", {"text": "yes"})
    workflows.drain()
    run = reloaded(run)
    assert (run.status, run.data["number"], run.data["answers"]) == ("completed", 5, ["yes"])


def test_a_run_that_a_worker_wants_or_that_is_over_takes_no_edit(workflows):
    run = engine.start(declare_inquiry())
    with pytest.raises(IllegalMove, match="running"):
        engine.edit(run, number=5)
    engine.cancel(run)
    with pytest.raises(IllegalMove, match="cancelled"):
        engine.edit(run, number=5)


def test_what_is_no_json_is_no_edit(order):
    with pytest.raises(SignalRejected, match="JSON"):
        engine.edit(order, price=object())


def test_a_sleeping_run_is_woken(workflows):
    @workflow("sleeper")
    class Sleeper:
        @step(start=True)
        def rest(self):
            return sleep(timedelta(days=365), then=self.end)

        @step()
        def end(self):
            return complete()

    run = engine.start(Sleeper)
    workflows.drain()
    engine.wake(run)
    workflows.drain()
    assert reloaded(run).status == "completed"
    assert run.past_waits.get().outcome == "due"


def test_the_pause_before_a_retry_is_ended_and_the_attempts_count_on(workflows):
    @workflow("failing", default_retry=Retry(max_attempts=2, base_delay=timedelta(minutes=5)))
    class Failing:
        @step(start=True)
        def work(self):
            raise OSError("no")

    run = engine.start(Failing)
    workflows.drain()
    engine.wake(run)
    workflows.drain()
    assert reloaded(run).status == "failed"
    assert run.step_executions.get().attempts == 2


def test_a_run_that_waits_for_an_answer_is_not_woken(workflows):
    run = engine.start(declare_inquiry(timeout=60))
    workflows.drain()
    with pytest.raises(IllegalMove, match="does not sleep"):
        engine.wake(run)


def test_a_restart_is_a_new_run_with_the_context_as_it_was_at_that_step(order, workflows):
    charged = order.step_executions.get(step_name="charge")
    again = engine.restart(order, charged.sequence)
    assert again.data == {"items": 1, "price": -1, "log": ["check", "ask"]}
    assert (again.current_step, again.restart_of.origin_id) == ("charge", order.pk)
    assert [tag.name for tag in again.tags.all()] == ["vip"]
    workflows.drain()
    assert reloaded(again).data["log"] == ["check", "ask", "charge"]
    assert reloaded(order).sequence == order.sequence


def test_a_restart_at_a_step_that_ended_by_waiting_waits_anew(order, workflows):
    asked = order.past_waits.get()
    again = engine.restart(order, asked.sequence - 1)
    assert again.data == {"items": 1, "price": 0, "log": ["check"]}
    workflows.drain()
    engine.signal("price", {"price": 3})
    workflows.drain()
    assert reloaded(again).status == "completed"


def test_a_restart_undoes_edits_that_came_later_but_not_those_made_at_the_step(order, workflows):
    engine.edit(order, price=1)
    engine.retry(order)
    workflows.drain()
    first, last = order.step_executions.filter(step_name="charge")
    assert engine.restart(order, first.sequence).data["price"] == -1
    assert engine.restart(order, last.sequence).data["price"] == 1


def test_the_first_context_is_rebuilt_through_all_that_followed(order):
    engine.edit(order, price=1, items=9)
    engine.edit(order, items=10)
    changes = past.changes_since(reloaded(order), 0)
    first = order.step_executions.first()
    assert engine.restart(order, first.sequence).data == {"items": 1, "price": 0, "log": []}
    assert len(list(changes)) == 6


def test_a_step_after_an_entry_wait_waits_again_with_the_context_of_then(workflows):
    @workflow("entry")
    class Entry:
        class Context(BaseModel):
            text: str = ""

        @step(start=True)
        def begin(self):
            return goto(self.after)

        @wait.for_signal("go")
        @step()
        def after(self):
            return complete()

    run = engine.start(Entry)
    workflows.drain()
    engine.signal("go", {"text": "now"})
    workflows.drain()
    again = engine.restart(run, run.step_executions.get(step_name="after").sequence)
    assert (again.status, again.data, again.suspension.name) == ("suspended", {"text": ""}, "go")


def test_a_step_that_takes_a_childs_result_has_it_again(workflows):
    results = []

    @workflow("child")
    class Child:
        class Context(BaseModel):
            answer: int = 0

        @step(start=True)
        def work(self):
            return complete(answer=42)

    @workflow("parent")
    class Parent:
        class Context(BaseModel):
            naps: int = 0

        @step(start=True)
        def delegate(self):
            return run_subflow(Child, on_complete=self.take)

        @step()
        def take(self, subflow_result: SubflowResult):
            results.append(subflow_result.context.answer)
            get_context().naps += 1
            return sleep(60) if get_context().naps == 1 else goto(self.end)

        @step()
        def end(self):
            return complete()

    run = engine.start(Parent)
    workflows.advance(timedelta(minutes=2))
    assert results == [42, 42]
    engine.restart(run, run.step_executions.get(step_name="take").sequence)
    workflows.advance(timedelta(minutes=2))
    assert results == [42, 42, 42]
    assert engine.restart(run, run.step_executions.get(step_name="end").sequence).inputs == {}


def test_a_value_that_was_too_large_to_keep_is_named(workflows, settings):
    settings.DJANGO_AI = {"MAX_CHANGE_BYTES": 10}

    @workflow("large")
    class Large:
        class Context(BaseModel):
            text: str = "x" * 100

        @step(start=True)
        def clear(self):
            return complete(text="")

    run = engine.start(Large)
    workflows.drain()
    with pytest.raises(ContextInvalid, match="text had values of more than the 10 bytes"):
        engine.restart(run, 1)


def test_there_is_no_restart_where_the_run_was_at_no_step(order):
    with pytest.raises(IllegalMove, match="at no step"):
        engine.restart(order, 99)
