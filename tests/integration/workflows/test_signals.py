"""A signal reaches the runs it is for, once, and whatever else comes at the same time loses."""

from datetime import timedelta
from unittest import mock

import pytest
from django.db import transaction
from pydantic import BaseModel

from django_ai.automation import broker
from django_ai.automation.workflows.core import complete, engine, sleep, step, wait, workflow
from django_ai.automation.workflows.exceptions import ContextInvalid, IllegalMove, SignalRejected
from django_ai.automation.workflows.models import Signal, StepExecution, Suspension
from django_ai.automation.workflows.runtime import inbox, scheduler, worker

from .declared import declare_collector, declare_inquiry, reloaded


@pytest.fixture
def without_resend(workflows):
    """The kit, but no message is sent again: what is asked for is done at once, not by the safety net."""
    with mock.patch.object(scheduler, "resend_deliveries", return_value=0):
        yield workflows


def post(run, name, payload=None):
    """Send what this code never waits for, as code of another version may."""
    inbox.post_many([Signal(run_id=run.pk, kind="signal", name=name, payload=payload or {})])


def states():
    return list(Signal.objects.values_list("state", flat=True))


def test_of_a_signal_and_a_timeout_the_first_wins_and_the_other_does_nothing(workflows):
    run = engine.start(declare_inquiry(timeout=timedelta(hours=1), on_timeout="give_up"))
    workflows.drain()
    waiting = reloaded(run)
    engine.signal("answer", {"text": "yes"})
    workflows.drain()
    worker.wake(run.pk, waiting.sequence)
    workflows.advance(timedelta(hours=2))
    assert reloaded(run).data["answers"] == ["yes"]
    assert [execution.step_name for execution in run.step_executions.all()] == ["ask", "note"]


def test_a_broadcast_that_arrives_after_the_timeout_is_missed(without_resend):
    run = engine.start(declare_inquiry(timeout=timedelta(hours=1), on_timeout="give_up"))
    without_resend.drain()
    assert engine.signal("answer", {"text": "late"}) == 1  # and its message is lost
    without_resend.advance(timedelta(hours=1))
    assert reloaded(run).data["text"] == "gave up"
    worker.deliver(run.pk)
    assert states() == ["missed"]


def test_of_two_broadcasts_one_wins_and_the_other_is_missed(workflows):
    run = engine.start(declare_collector(2))
    workflows.drain()
    assert engine.signal("answer", {"text": "first"}) == engine.signal("answer", {"text": "second"}) == 1
    workflows.drain()
    run = reloaded(run)
    assert (run.status, run.data["answers"]) == ("suspended", ["first"])
    assert states() == ["delivered", "missed"]


def test_a_broadcast_reaches_only_runs_that_wait_now(workflows):
    early = engine.start(declare_inquiry())
    workflows.drain()
    late = engine.start("inquiry")
    assert engine.signal("answer", {"text": "yes"}) == 1
    workflows.drain()
    assert (reloaded(early).status, reloaded(late).status) == ("completed", "suspended")


def test_signals_to_one_run_are_kept_and_delivered_in_order_once_each(without_resend):
    run = engine.start(declare_collector(3))
    for text in ("one", "two"):
        engine.signal("answer", {"text": text}, run=run)
    without_resend.drain()
    assert (reloaded(run).status, reloaded(run).data["answers"]) == ("suspended", ["one", "two"])
    worker.deliver(run.pk)
    assert reloaded(run).data["answers"] == ["one", "two"]
    engine.signal("answer", {"text": "three"}, run=run.pk)
    worker.deliver(run.pk)
    assert (reloaded(run).status, reloaded(run).data["answers"]) == ("completed", ["one", "two", "three"])
    assert states() == ["delivered"] * 3


def test_a_kept_signal_waits_for_its_own_name(workflows):
    run = engine.start(declare_inquiry())
    post(run, "another", {"text": "no"})
    workflows.drain()
    assert (reloaded(run).status, states()) == ("suspended", ["pending"])


def test_a_kept_signal_is_there_when_a_timer_leads_to_its_wait(without_resend):
    @workflow("later")
    class Later:
        @step(start=True)
        def rest(self):
            return sleep(timedelta(hours=1), then=self.ask)

        @wait("answer")
        @step()
        def ask(self):
            return wait("confirmation", then=self.end)

        @wait("last_word")
        @step()
        def end(self):
            return complete()

    run = engine.start(Later)
    for name in ("last_word", "confirmation", "answer"):
        engine.signal(name, run=run)
    without_resend.advance(timedelta(hours=1))
    assert (reloaded(run).status, states()) == ("completed", ["delivered"] * 3)


def test_a_kept_signal_is_there_when_a_failed_run_is_retried_into_its_wait(
    without_resend, django_capture_on_commit_callbacks
):
    run = engine.start(declare_entry())
    without_resend.advance(timedelta(hours=1))
    assert reloaded(run).status == "failed"
    with pytest.raises(IllegalMove, match="failed"):
        engine.signal("answer", run=run)
    Signal.objects.create(run=run, kind="signal", name="answer", created_at=run.created_at)
    with django_capture_on_commit_callbacks(execute=True):
        engine.retry(run)
    without_resend.drain()
    assert reloaded(run).status == "completed"


def declare_entry():
    @workflow("entry")
    class Entry:
        @wait("answer", timeout=timedelta(hours=1))
        @step(start=True)
        def ask(self):
            return complete()

    return Entry


def test_a_run_that_has_ended_takes_no_signal(workflows):
    run = engine.start(declare_inquiry())
    engine.cancel(run)
    with pytest.raises(IllegalMove, match="cancelled"):
        engine.signal("answer", run=run)
    assert states() == []


def test_what_is_left_in_the_inbox_of_an_ended_run_is_missed(workflows):
    run = engine.start(declare_inquiry())
    workflows.drain()
    engine.signal("answer", run=run)
    engine.cancel(run)
    worker.deliver(run.pk)
    assert (reloaded(run).status, states()) == ("cancelled", ["missed"])


def test_a_correlated_signal_wakes_only_runs_that_wait_with_its_key(workflows):
    cls = declare_inquiry(correlate="order-{key}")
    one, other = engine.start(cls, key="1"), engine.start(cls, key="2")
    workflows.drain()
    assert engine.signal("answer", correlate="order-3") == 0
    assert engine.signal("answer", {"text": "yes"}, correlate="order-2") == 1
    workflows.drain()
    assert (reloaded(one).status, reloaded(other).status) == ("suspended", "completed")
    assert engine.signal("answer") == 1, "without a key it reaches every run that waits"


def test_a_key_need_not_be_a_string(workflows):
    run = engine.start(declare_inquiry(correlate="{number}"), number=42)
    workflows.drain()
    assert engine.signal("answer", correlate=42) == 1
    workflows.drain()
    assert reloaded(run).status == "completed"


def test_a_correlation_key_that_the_context_cannot_fill_in_fails_the_run(workflows):
    run = engine.start(declare_inquiry(correlate="{order_id}"))
    workflows.drain()
    run = reloaded(run)
    assert (run.status, run.step_executions.get().attempts) == ("failed", 1)
    assert "order_id" in run.error


def test_a_payload_that_does_not_fit_leaves_the_run_as_it_was_and_tells_the_sender_why(workflows):
    @workflow("strict")
    class Strict:
        class Context(BaseModel):
            number: int = 0

        @step(start=True)
        def ask(self):
            return wait("answer")

    strict = engine.start(Strict)
    workflows.drain()
    before = reloaded(strict)
    with pytest.raises(SignalRejected, match=rf"run #{strict.pk}: .*number: .*integer") as rejected:
        engine.signal("answer", {"number": "many"})
    assert [run_id for run_id, _ in rejected.value.rejections] == [strict.pk]
    workflows.drain()
    after = reloaded(strict)
    assert (after.status, after.sequence, after.data) == (before.status, before.sequence, before.data)


def test_only_the_runs_whose_contexts_the_payload_does_not_fit_are_left_out(workflows):
    @workflow("of_texts")
    class OfTexts:
        class Context(BaseModel):
            value: str = ""

        @step(start=True)
        def ask(self):
            return wait("answer")

    @workflow("of_numbers")
    class OfNumbers:
        class Context(BaseModel):
            value: int = 0

        @step(start=True)
        def ask(self):
            return wait("answer")

    texts, numbers = engine.start(OfTexts), engine.start(OfNumbers)
    workflows.drain()
    with pytest.raises(SignalRejected) as rejected:
        engine.signal("answer", {"value": "many"})
    (rejection,) = rejected.value.rejections
    assert rejection[0] == numbers.pk
    assert "value" in rejection[1]
    assert "integer" in rejection[1]
    assert rejected.value.accepted == 1
    workflows.drain()
    assert (reloaded(texts).status, reloaded(numbers).status) == ("completed", "suspended")
    engine.signal("answer", {"value": 5})
    workflows.drain()
    assert (reloaded(numbers).status, reloaded(numbers).data) == ("completed", {"value": 5})


def test_a_payload_that_stopped_fitting_on_its_way_is_rejected_and_the_run_stays(workflows):
    run = engine.start(declare_inquiry())
    workflows.drain()
    message = Signal.objects.create(
        run=run, kind="signal", name="answer", payload={"number": "many"}, created_at=run.created_at
    )
    worker.deliver(run.pk)
    message.refresh_from_db()
    assert (message.state, reloaded(run).status) == ("rejected", "suspended")
    assert "number" in message.error


def test_a_message_that_was_delivered_meanwhile_is_not_rejected(workflows):
    run = engine.start(declare_inquiry())
    workflows.drain()
    engine.signal("answer", {"text": "yes"}, run=run)
    seen_by_a_slow_worker = run.signals.get()
    workflows.drain()
    inbox.reject(seen_by_a_slow_worker, ContextInvalid("too large"))
    assert (run.signals.get().state, run.signals.get().error) == ("delivered", "")


def test_what_is_settled_waits_for_no_further_message(workflows):
    run = engine.start(declare_inquiry())
    workflows.drain()
    engine.signal("answer", {"text": "yes"}, run=run)
    assert run.signals.get().dispatched_at is not None
    workflows.drain()
    assert run.signals.get().dispatched_at is None


@pytest.mark.parametrize("payload", [["a"], "text", {"value": object()}, {"value": {1, object()}}])
def test_a_payload_that_is_no_json_is_refused(workflows, payload):
    with pytest.raises(SignalRejected):
        engine.signal("answer", payload)


def test_a_rolled_back_signal_is_not_sent(workflows):
    run = engine.start(declare_inquiry())
    workflows.drain()
    with transaction.atomic():
        engine.signal("answer")
        transaction.set_rollback(True)
    workflows.drain()
    assert (reloaded(run).status, states()) == ("suspended", [])


def test_a_message_that_comes_twice_does_nothing_the_second_time(workflows):
    run = engine.start(declare_inquiry())
    first = (run.pk, run.sequence, run.attempt)
    workflows.drain()
    worker.execute(*first)
    engine.signal("answer", {"text": "yes"})
    workflows.drain()
    for _ in range(2):
        worker.execute(*first)
        worker.deliver(run.pk)
        worker.wake(run.pk, first[1])
    assert reloaded(run).data["answers"] == ["yes"]
    assert [visit.step_name for visit in StepExecution.objects.all()] == ["ask", "note"]


def test_messages_for_runs_that_are_gone_do_nothing(workflows):
    worker.execute(4711, 1, 0)
    worker.deliver(4711)
    worker.wake(4711, 1)


def test_steps_after_a_wait_run_in_their_own_queues(without_resend, django_capture_on_commit_callbacks):
    @workflow("queues")
    class Queues:
        @step(start=True)
        def ask(self):
            return wait("answer")

        @step(queue="slow")
        def heavy(self):
            return sleep(1, then=self.light)

        @step(queue="quick")
        def light(self):
            return complete()

    sent = []

    def publish(task, args, queue=None, **options):
        sent.append((task.rpartition(".")[2], queue))
        without_resend.publish(task, args, **options)

    run = engine.start(Queues)
    without_resend.drain()
    with mock.patch.object(broker, "publisher", publish):
        with django_capture_on_commit_callbacks(execute=True):
            engine.signal("answer")
        without_resend.drain()
        assert sent == [("deliver", None), ("execute", "slow"), ("wake", "slow")]
        waiting = reloaded(run)
        Suspension.objects.update(due_at=waiting.updated_at)
        with django_capture_on_commit_callbacks(execute=True):
            worker.wake(run.pk, waiting.sequence)
    assert sent[3:] == [("execute", "quick")]


def test_what_is_left_in_the_inbox_of_a_run_that_ended_is_missed_though_its_message_was_lost(workflows):
    run = engine.start(declare_inquiry())
    post(run, "unheard of")
    engine.signal("answer", {"text": "yes"}, run=run)
    workflows.drain()
    assert reloaded(run).status == "completed"
    workflows._traveller.shift(timedelta(seconds=11))
    workflows.drain()
    assert states() == ["missed", "delivered"]


def test_a_payload_that_makes_the_context_too_large_is_refused_to_its_sender(workflows, settings):
    settings.DJANGO_AI = {"MAX_CONTEXT_BYTES": 200}
    run = engine.start(declare_inquiry())
    workflows.drain()
    with pytest.raises(SignalRejected, match="MAX_CONTEXT_BYTES"):
        engine.signal("answer", {"text": "x" * 200}, run=run)
    assert engine.signal("answer", {"text": "short"}, run=run) == 1


def test_one_that_became_too_large_on_its_way_is_rejected_and_keeps_no_other_waiting(workflows, settings):
    run = engine.start(declare_inquiry())
    workflows.drain()
    engine.signal("answer", {"text": "x" * 200}, run=run)
    engine.signal("answer", {"text": "short"}, run=run)
    settings.DJANGO_AI = {"MAX_CONTEXT_BYTES": 200}
    workflows.drain()
    assert (reloaded(run).status, reloaded(run).data["answers"]) == ("completed", ["short"])
    assert list(run.signals.order_by("id").values_list("state", flat=True)) == ["rejected", "delivered"]
    assert "MAX_CONTEXT_BYTES" in run.signals.first().error
