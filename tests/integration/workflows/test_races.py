"""What two transactions do to one run at the same moment, on real connections of their own."""

import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction
from pydantic import BaseModel

from django_ai.automation.workflows.core import (
    Retry,
    complete,
    engine,
    get_context,
    goto,
    run_subflow,
    step,
    wait,
    workflow,
)
from django_ai.automation.workflows.exceptions import IllegalMove
from django_ai.automation.workflows.models import Signal, Suspension, WorkflowRun
from django_ai.automation.workflows.runtime import by_hand, dispatch, lanes, rows, scheduler, vendors, worker

from .declared import declare_collector, declare_inquiry, reloaded
from .racing import ROUNDS, SECOND_TRANSACTION, elsewhere, needs, together, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent")]

LONG_AGO = timedelta(days=1)


def suspended(workflow_class, sent, **context):
    run = engine.start(workflow_class, **context)
    work(sent)
    return reloaded(run)


def overdue(*runs):
    Suspension.objects.filter(run__in=runs).update(due_at=runs[0].created_at - LONG_AGO)


def steps_of(run):
    return list(run.step_executions.values_list("step_name", flat=True))


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_of_a_signal_and_a_timeout_exactly_one_wins(sent, _round):
    run = suspended(declare_inquiry(timeout=timedelta(hours=1), on_timeout="give_up"), sent)
    overdue(run)
    engine.signal("answer", {"text": "yes"})
    together(lambda: worker.deliver(run.pk), lambda: worker.wake(run.pk, run.sequence), scheduler.wake_due)
    work(sent)
    ended = reloaded(run)
    assert ended.status == "completed"
    assert (steps_of(run), ended.data["text"], Signal.objects.get().state) in (
        (["ask", "note"], "yes", "delivered"),
        (["ask", "give_up"], "gave up", "missed"),
    )


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_two_deliveries_hand_over_each_kept_signal_once_and_in_order(sent, _round):
    run = suspended(declare_collector(2), sent)
    for text in ("one", "two"):
        engine.signal("answer", {"text": text}, run=run)
    sent.clear()
    together(*[lambda: worker.deliver(run.pk)] * 3)
    work(sent)
    assert reloaded(run).data["answers"] == ["one", "two"]
    assert list(Signal.objects.values_list("state", flat=True)) == ["delivered"] * 2


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_a_kept_signal_and_the_wait_for_it_find_each_other(sent, _round):
    run = engine.start(declare_inquiry())
    sent.clear()
    together(
        lambda: worker.execute(run.pk, run.sequence, run.attempt),
        lambda: engine.signal("answer", {"text": "yes"}, run=run),
    )
    work(sent)
    assert (reloaded(run).status, steps_of(run)) == ("completed", ["ask", "note"])


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_a_message_that_two_workers_get_at_once_runs_the_step_once(sent, _round):
    calls = []

    @workflow("counted")
    class Counted:
        @step(start=True)
        def begin(self):
            calls.append(1)
            return complete()

    run = engine.start(Counted)
    together(*[lambda: worker.execute(run.pk, run.sequence, run.attempt)] * 3)
    assert (reloaded(run).status, len(calls)) == ("completed", 1)


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_two_schedulers_at_once_wake_each_run_once(sent, _round):
    cls = declare_inquiry(timeout=timedelta(hours=1), on_timeout="give_up")
    runs = [suspended(cls, sent) for _ in range(6)]
    overdue(*runs)
    together(scheduler.wake_due, scheduler.wake_due)
    scheduler.wake_due()  # what one skipped because the other held it
    assert sorted(sent) == [(dispatch.WAKE, (run.pk, run.sequence)) for run in runs]
    work(sent)
    assert {reloaded(run).status for run in runs} == {"completed"}


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_two_schedulers_at_once_resend_each_message_once(sent, _round):
    runs = [engine.start(declare_inquiry())] + [engine.start("inquiry") for _ in range(5)]
    WorkflowRun.objects.update(dispatched_at=runs[0].created_at - LONG_AGO)
    sent.clear()
    together(scheduler.resend_steps, scheduler.resend_steps)
    scheduler.resend_steps()
    assert sorted(args for _, args in sent) == [(run.pk, run.sequence, 0) for run in runs]


@SECOND_TRANSACTION
@pytest.mark.parametrize("atomic", [True, False])
def test_a_run_cancelled_while_its_step_runs_discards_what_the_step_gave(sent, atomic):
    @workflow("slow")
    class Slow:
        @step(start=True, atomic=atomic)
        def begin(self):
            Group.objects.create(name="written")
            elsewhere(lambda: engine.cancel(run, "enough"))
            return complete(display_title="Done")

    run = engine.start(Slow)
    worker.execute(run.pk, run.sequence, run.attempt)
    ended = reloaded(run)
    assert (ended.status, ended.error, ended.completion_display) == ("cancelled", "enough", {})
    assert not steps_of(run)
    assert Group.objects.exists() is not atomic


@SECOND_TRANSACTION
def test_a_step_that_fails_after_its_run_was_cancelled_changes_nothing(sent):
    @workflow("slow")
    class Slow:
        @step(start=True)
        def begin(self):
            elsewhere(lambda: engine.cancel(run, "enough"))
            raise OSError("away")

    run = engine.start(Slow)
    worker.execute(run.pk, run.sequence, run.attempt)
    assert (reloaded(run).status, reloaded(run).error) == ("cancelled", "enough")


@SECOND_TRANSACTION
@pytest.mark.parametrize("atomic", [True, False])
def test_the_result_of_a_worker_that_lost_its_lease_is_discarded(sent, atomic):
    calls = []

    @workflow("overtaken")
    class Overtaken:
        @step(start=True, atomic=atomic)
        def begin(self):
            calls.append(1)
            attempt = len(calls)
            Group.objects.create(name=f"attempt {attempt}")
            if attempt == 1:
                elsewhere(take_over)
            return complete(display_title=f"attempt {attempt}")

    def take_over():
        WorkflowRun.objects.update(lease_until=run.created_at - LONG_AGO)
        assert scheduler.resend_steps() == 1
        work(sent)

    run = engine.start(Overtaken)
    sent.clear()
    worker.execute(run.pk, run.sequence, run.attempt)
    assert reloaded(run).completion_display["display_title"] == "attempt 2"
    assert run.step_executions.get().attempts == 2
    written = set(Group.objects.values_list("name", flat=True))
    assert written == ({"attempt 2"} if atomic else {"attempt 1", "attempt 2"})


@pytest.mark.parametrize("atomic", [True, False])
def test_no_row_is_locked_while_a_step_runs(sent, atomic):
    needs("has_select_for_update_nowait")
    locked = []

    def lock():
        with transaction.atomic():
            locked.extend(WorkflowRun.objects.select_for_update(nowait=True).values_list("pk", flat=True))

    @workflow("free")
    class Free:
        @step(start=True, atomic=atomic)
        def begin(self):
            elsewhere(lock)
            return complete()

    run = engine.start(Free)
    worker.execute(run.pk, run.sequence, run.attempt)
    assert (reloaded(run).status, locked) == ("completed", [run.pk])


@SECOND_TRANSACTION
def test_a_sender_does_not_wait_for_a_run_that_is_locked(sent):
    run = suspended(declare_inquiry(), sent)
    with transaction.atomic():
        rows.lock(run.pk)
        assert elsewhere(lambda: engine.signal("answer", {"text": "yes"})) == 1
        assert elsewhere(lambda: engine.signal("answer", {"text": "no"}, run=run)) == 1
    work(sent)
    assert reloaded(run).data["answers"] == ["yes"]


def test_a_run_that_somebody_holds_does_not_keep_the_scheduler(sent):
    needs("has_select_for_update_skip_locked")
    cls = declare_inquiry(timeout=timedelta(hours=1), on_timeout="give_up")
    held, free = suspended(cls, sent), suspended(cls, sent)
    overdue(held, free)
    # Without "FOR UPDATE OF" the scheduler locks the run along with its wait, and so skips the one that is held.
    found = 2 if connection.features.has_select_for_update_of else 1
    with transaction.atomic():
        rows.lock(held.pk)
        assert elsewhere(scheduler.wake_due) == found
        elsewhere(lambda: worker.wake(free.pk, free.sequence))
    assert (reloaded(held).status, reloaded(free).status) == ("suspended", "completed")


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_two_cancellations_at_once_cancel_once(sent, _round):
    run = suspended(declare_inquiry(), sent)

    def cancel():
        try:
            return engine.cancel(run).status
        except IllegalMove:
            return "refused"

    assert sorted(together(cancel, cancel)) == ["cancelled", "refused"]
    assert reloaded(run).sequence == run.sequence + 1


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_a_child_that_ends_as_its_parents_time_runs_out_moves_it_once(sent, _round):
    told = []

    @workflow("child")
    class Child:
        @step(start=True)
        def ask(self):
            return wait("answer")

    @workflow("parent")
    class Parent:
        @step(start=True)
        def begin(self):
            return run_subflow(Child, on_complete=self.after, timeout=timedelta(hours=1), on_timeout="give_up")

        @step()
        def after(self, subflow_result):
            told.append(str(subflow_result.status))
            return complete()

        @step()
        def give_up(self):
            told.append("timed out")
            return complete()

    run = suspended(Parent, sent)
    child = run.child_runs.get()
    overdue(run)
    engine.signal("answer", run=child)
    sent.clear()
    together(lambda: worker.deliver(child.pk), lambda: worker.wake(run.pk, run.sequence))
    work(sent)
    assert reloaded(run).status == "completed"
    assert told in (["completed"], ["timed out"])
    assert reloaded(child).status in ("completed", "cancelled")


def test_a_rolled_back_start_sends_nothing(sent):
    with transaction.atomic():
        engine.start(declare_inquiry())
        transaction.set_rollback(True)
    assert sent == []
    with transaction.atomic():
        engine.start("inquiry")
        assert sent == []
    assert len(sent) == 1


def test_a_step_that_starts_a_run_and_fails_starts_nothing(sent):
    @workflow("starter")
    class Starter:
        @step(start=True)
        def begin(self):
            engine.start("inquiry")
            raise OSError

    declare_inquiry()
    run = engine.start(Starter)
    sent.clear()
    worker.execute(run.pk, run.sequence, run.attempt)
    assert {task for task, _ in sent} == {dispatch.WAKE}
    assert WorkflowRun.objects.get() == run


def test_each_thread_has_the_context_of_its_own_step(sent):
    barrier = threading.Barrier(2)
    seen = []

    @workflow("threads")
    class Threads:
        @step(start=True, atomic=False)
        def begin(self):
            barrier.wait(60)
            seen.append(get_context() is self.context)
            return complete()

    runs = [engine.start(Threads) for _ in range(2)]
    together(*[lambda run=run: worker.execute(run.pk, run.sequence, run.attempt) for run in runs])
    assert seen == [True, True]


def test_a_message_of_an_earlier_step_runs_none_of_the_later_ones(sent, settings):
    settings.DJANGO_AI = {"STEPS_PER_TASK": 1}
    calls = []

    @workflow("two_steps")
    class TwoSteps:
        @step(start=True)
        def first(self):
            return goto(self.second)

        @step()
        def second(self):
            calls.append(1)
            return complete()

    run = engine.start(TwoSteps)
    for _ in range(3):
        worker.execute(run.pk, run.sequence, run.attempt)
    assert (reloaded(run).current_step, calls) == ("second", [])


@SECOND_TRANSACTION
@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("gone_on", [True, False], ids=["the-run-has-gone-on", "another-worker-is-at-it"])
def test_a_late_result_moves_no_run_that_is_running_elsewhere(sent, settings, atomic, gone_on):
    settings.DJANGO_AI = {"STEPS_PER_TASK": 1}
    calls = []

    @workflow("overtaken")
    class Overtaken:
        class Context(BaseModel):
            calls: int = 0

        @step(start=True, atomic=atomic)
        def begin(self):
            calls.append(1)
            self.context.calls = len(calls)
            if len(calls) == 1:
                elsewhere(take_over)
                self.context.calls = 99
            return goto(self.then)

        @step()
        def then(self):
            return goto(self.then)

    def take_over():
        WorkflowRun.objects.update(lease_until=run.created_at - LONG_AGO)
        now_at = reloaded(run)
        if gone_on:
            worker.execute(run.pk, now_at.sequence, now_at.attempt)
        else:
            assert lanes.take(run.pk, now_at.sequence, now_at.attempt)
        left.append(reloaded(run))

    left = []
    run = engine.start(Overtaken)
    worker.execute(run.pk, run.sequence, run.attempt)
    after = reloaded(run)
    assert after.status == "running"
    for name in ("current_step", "sequence", "attempt", "data", "lease_until", "dispatched_at"):
        assert getattr(after, name) == getattr(left[0], name), name


# What happens between the glance at a run and its move.


@pytest.fixture
def after_the_glance(monkeypatch):
    """Let something happen when a run has been read and is about to be moved."""

    def arrange(act):
        way, acts = vendors.way(), [act]
        glances = way.glances

        def delayed(run_ids):
            seen = glances(run_ids)
            if acts:
                elsewhere(acts.pop())
            return seen

        monkeypatch.setattr(way, "glances", delayed)

    return arrange


def test_an_edit_after_the_glance_is_not_lost(sent, after_the_glance):
    run = suspended(declare_inquiry(), sent)
    engine.signal("answer", {"text": "yes"}, run=run)
    after_the_glance(lambda: by_hand.edit(run.pk, {"number": 7}))
    worker.deliver(run.pk)
    assert reloaded(run).status == "completed"
    assert (reloaded(run).data["number"], reloaded(run).data["answers"]) == (7, ["yes"])


def test_a_run_that_was_moved_after_the_glance_is_left_where_it_is(sent, after_the_glance):
    run = suspended(declare_inquiry(), sent)
    engine.signal("answer", {"text": "yes"}, run=run)
    after_the_glance(lambda: engine.cancel(run))
    worker.deliver(run.pk)
    assert (reloaded(run).status, reloaded(run).sequence) == ("cancelled", 3)
    assert Signal.objects.get().state == "missed"


def test_a_message_that_two_take_at_a_glance_is_handed_over_once(sent, after_the_glance):
    run = suspended(declare_collector(2), sent)
    engine.signal("answer", {"text": "first"}, run=run)
    after_the_glance(lambda: worker.deliver(run.pk))
    worker.deliver(run.pk)
    work(sent)
    assert (reloaded(run).status, reloaded(run).data["answers"]) == ("suspended", ["first"])


def test_a_time_out_that_comes_after_the_glance_at_an_answer_wins_alone(sent, after_the_glance):
    run = suspended(declare_inquiry(timeout=timedelta(hours=1), on_timeout="give_up"), sent)
    overdue(run)
    engine.signal("answer", {"text": "yes"}, run=run)
    after_the_glance(lambda: worker.wake(run.pk, run.sequence))
    worker.deliver(run.pk)
    assert (reloaded(run).status, reloaded(run).data["text"], reloaded(run).data["answers"]) == (
        "completed",
        "gave up",
        [],
    )


@pytest.mark.parametrize("_round", range(ROUNDS))
@pytest.mark.parametrize("broadcast", [False, True])
def test_of_signals_with_one_key_a_run_gets_one(sent, _round, broadcast):
    run = suspended(declare_collector(3), sent)
    to = {} if broadcast else {"run": run}
    senders = [lambda: engine.signal("answer", {"text": "yes"}, key="click", **to)] * 4
    assert sorted(together(*senders)) == [0, 0, 0, 1]
    work(sent)
    assert reloaded(run).data["answers"] == ["yes"]


@SECOND_TRANSACTION
def test_a_key_is_free_for_the_next_sender_when_the_first_one_rolls_back(sent):
    run = suspended(declare_collector(3), sent)
    has_sent, may_end = threading.Event(), threading.Event()

    def gives_up():
        with transaction.atomic():
            engine.signal("answer", {"text": "no"}, run=run, key="click")
            has_sent.set()
            may_end.wait(20)
            transaction.set_rollback(True)

    def waits_for_it():
        has_sent.wait(20)
        may_end.set()
        return engine.signal("answer", {"text": "yes"}, run=run, key="click")

    assert together(gives_up, waits_for_it) == [None, 1]
    work(sent)
    assert reloaded(run).data["answers"] == ["yes"]


@SECOND_TRANSACTION
def test_a_signal_of_a_sender_that_did_not_see_the_fresh_wait_does_not_count(sent):
    run = engine.start(declare_inquiry(fresh=True))
    with transaction.atomic():
        engine.signal("answer", {"text": "early"}, run=run)
        elsewhere(lambda: work(sent))  # the wait begins before the sender commits
        assert reloaded(run).status == "suspended"
    work(sent)
    assert (reloaded(run).status, Signal.objects.get().state) == ("suspended", "missed")


@pytest.fixture
def told_parent(sent, settings):
    """A parent in whose inbox lies its child's failure, and the child, which will complete when it is retried."""
    settings.DJANGO_AI = {"STEPS_PER_TASK": 1}  # else one task goes on with parent and child

    @workflow("crashing", default_retry=Retry(max_attempts=1))
    class Crashing:
        class Context(BaseModel):
            breaks: bool = True

        @step(start=True)
        def begin(self):
            return complete() if not self.context.breaks else 1 / 0

    @workflow("patient")
    class Patient:
        class Context(BaseModel):
            results: list[str] = []

        @step(start=True)
        def begin(self):
            return run_subflow(Crashing, on_complete=self.after)

        @step()
        def after(self, subflow_result):
            self.context.results.append(str(subflow_result.status))
            return complete()

    parent = engine.start(Patient)
    worker.execute(parent.pk, parent.sequence, parent.attempt)
    child = parent.child_runs.get()
    worker.execute(child.pk, child.sequence, child.attempt)
    engine.edit(child, breaks=False)
    sent.clear()
    assert (reloaded(parent).status, reloaded(child).status) == ("suspended", "failed")
    return parent, child


def test_a_child_that_is_retried_after_the_glance_at_its_end_tells_its_last_end_alone(
    sent, told_parent, after_the_glance
):
    parent, child = told_parent
    after_the_glance(lambda: engine.retry(child))
    worker.deliver(parent.pk)
    assert reloaded(parent).status == "suspended"
    work(sent)
    assert (reloaded(child).status, reloaded(parent).data["results"]) == ("completed", ["completed"])


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_of_a_childs_retry_and_the_delivery_of_its_end_exactly_one_wins(sent, told_parent, _round):
    parent, child = told_parent

    def retry():
        try:
            return engine.retry(child)
        except IllegalMove:
            return None

    retried, _ = together(retry, lambda: worker.deliver(parent.pk))
    work(sent)
    assert reloaded(parent).status == "completed"
    expected = ("completed", ["completed"]) if retried else ("failed", ["failed"])
    assert (reloaded(child).status, reloaded(parent).data["results"]) == expected


@SECOND_TRANSACTION
def test_a_child_of_an_ended_parent_is_refused_without_waiting_for_the_parents_row(sent, told_parent):
    parent, child = told_parent
    worker.deliver(parent.pk)
    work(sent)

    def refused():
        with pytest.raises(IllegalMove, match="parent"):
            engine.retry(child)

    with transaction.atomic():  # as the retention, which locks a parent first and its children then
        WorkflowRun.objects.select_for_update().get(pk=parent.pk)
        elsewhere(refused)
