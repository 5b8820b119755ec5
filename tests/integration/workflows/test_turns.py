"""What one task does itself: the family of its run, and messages that came together."""

import logging
from contextlib import suppress
from datetime import timedelta
from unittest import mock

import pytest
from django.db import connection
from django.utils import timezone
from pydantic import BaseModel

from django_ai.automation import broker
from django_ai.automation.broker import Message
from django_ai.automation.workflows.core import complete, engine, goto, run_subflow, step, workflow
from django_ai.automation.workflows.models import Signal, Suspension, WorkflowRun
from django_ai.automation.workflows.runtime import dispatch, lanes, pace, scheduler, stopping, vendors, worker

from .declared import declare_inquiry, reloaded
from .racing import elsewhere, work

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget_pace():
    pace.forget()
    yield
    pace.forget()


@pytest.fixture
def messages():
    """The messages as the broker gets them, those of several runs in one."""
    found = []
    with mock.patch.object(broker, "publisher", lambda task, args, **options: found.append((task, args))):
        yield found


def declare_family(child_queue=None, body=lambda: None):
    @workflow("child", queue=child_queue)
    class Child:
        @step(start=True)
        def begin(self):
            return complete()

    @workflow("parent")
    class Parent:
        class Context(BaseModel):
            rounds: int = 0

        @step(start=True)
        def begin(self):
            body()
            return run_subflow(Child, on_complete=self.after)

        @step()
        def after(self, subflow_result):
            self.context.rounds += 1
            return goto(self.begin) if self.context.rounds < 2 else complete()

    return Parent


def declare_counted(calls):
    @workflow("counted")
    class Counted:
        class Context(BaseModel):
            number: int

        @step(start=True)
        def begin(self):
            calls.append(self.context.number)
            return complete()

    return Counted


def start_counted(calls, count):
    declare_counted(calls)
    return [engine.start("counted", number=number) for number in range(count)]


def fences(runs):
    return [(run.pk, run.sequence, run.attempt) for run in runs]


def test_a_task_goes_on_with_the_child_and_with_the_parent_again(messages):
    run = engine.start(declare_family())
    messages.clear()
    worker.execute(run.pk, 1, 0)
    assert (reloaded(run).status, reloaded(run).data, messages) == ("completed", {"rounds": 2}, [])
    assert set(run.child_runs.values_list("status", flat=True)) == {"completed"}
    assert set(Signal.objects.values_list("state", flat=True)) == {"delivered"}


def test_a_task_of_one_step_sends_messages_for_the_child_and_the_parent(messages, settings):
    settings.DJANGO_AI = {"STEPS_PER_TASK": 1}
    run = engine.start(declare_family())
    messages.clear()
    worker.execute(run.pk, 1, 0)
    child = run.child_runs.get()
    assert messages == [(dispatch.EXECUTE, (child.pk, 1, 0))]
    assert (child.attempt, child.lease_until) == (0, None)
    worker.execute(*messages.pop()[1])
    assert messages == [(dispatch.DELIVER, (run.pk,))]
    work(messages)
    assert (reloaded(run).status, reloaded(run).data) == ("completed", {"rounds": 2})


def test_a_child_of_another_queue_is_left_to_its_workers(messages):
    run = engine.start(declare_family(child_queue="elsewhere"))
    messages.clear()
    worker.execute(run.pk, 1, 0)
    assert messages == [(dispatch.EXECUTE, (run.child_runs.get().pk, 1, 0))]


def test_a_child_whose_parent_could_not_move_is_not_run(messages):
    run = engine.start(declare_family(body=lambda: engine.cancel(run)))
    messages.clear()
    worker.execute(run.pk, 1, 0)
    assert (WorkflowRun.objects.get(), messages) == (run, [])


def test_a_child_whose_transaction_failed_is_not_run(messages):
    run = engine.start(declare_family())
    turn = worker.Turn(queue=None)
    write, faults = vendors.way().write, [OSError]

    def fail_once(writes):
        if faults:
            raise faults.pop()
        return write(writes)

    with mock.patch.object(vendors.way(), "write", fail_once):
        lanes.go_on(lanes.take(run.pk, 1, 0), turn)
    assert (WorkflowRun.objects.get(), reloaded(run).attempt) == (run, 1)


def test_what_is_sent_at_once_goes_together_ten_at_a_time(messages):
    declare_inquiry()
    runs = [engine.start("inquiry") for _ in range(23)]
    messages.clear()
    for run in runs:
        worker.execute(run.pk, 1, 0)
    engine.signal("answer", {"text": "yes"})
    assert [(task, args[0], len(args[2])) for task, args in messages] == [
        (dispatch.SEVERAL, dispatch.DELIVER, 10),
        (dispatch.SEVERAL, dispatch.DELIVER, 10),
        (dispatch.SEVERAL, dispatch.DELIVER, 3),
    ]
    work_all(messages)
    assert set(WorkflowRun.objects.values_list("status", flat=True)) == {"completed"}


def test_of_messages_sent_one_shortly_after_another_those_of_one_kind_go_together():
    queued = [Message(dispatch.EXECUTE, (number, 1, 0), {"queue": "slow"}) for number in range(2)]
    alone = [
        Message(dispatch.WAKE, (7, 2), {"queue": None, "countdown": 3}),
        Message(dispatch.PULSE, ("slow", "2026-01-01"), {"queue": "slow", "expires": 60}),
        Message(dispatch.SEVERAL, (dispatch.DELIVER, None, [(8,), (9,)]), {"queue": None}),
        Message(dispatch.EXECUTE, (3, 1, 0), {"queue": "quick"}),
    ]
    twice = [Message(dispatch.DELIVER, (5,), {"queue": None})] * 2
    made = dispatch.fewer([*queued, *alone, *twice])
    together = Message(dispatch.SEVERAL, (dispatch.EXECUTE, "slow", [(0, 1, 0), (1, 1, 0)]), {"queue": "slow"})
    assert sorted(made, key=repr) == sorted([together, *alone, twice[0]], key=repr)


def work_all(messages):
    while messages:
        task, args = messages.pop(0)
        worker.several(*args) if task == dispatch.SEVERAL else worker.TASKS[task](*args)


def test_tasks_of_one_step_get_messages_of_their_own(messages, settings):
    settings.DJANGO_AI = {"STEPS_PER_TASK": 1}
    declare_inquiry()
    dispatch.deliveries([1, 2, 2, 3])
    assert messages == [(dispatch.DELIVER, (1,)), (dispatch.DELIVER, (2,)), (dispatch.DELIVER, (3,))]


@pytest.mark.parametrize(
    ("runs", "sizes"), [(9, [9]), (30, [10] * 3), (500, [25] * 20), (1010, [50] * 20 + [10]), (1001, [50] * 20 + [1])]
)
def test_the_messages_of_a_burst_grow_when_there_are_enough_of_them_for_many_workers(messages, runs, sizes):
    dispatch.deliveries(range(runs))
    assert [len(args[2]) if task == dispatch.SEVERAL else 1 for task, args in messages] == sizes


def test_a_step_that_is_not_known_to_be_quick_leaves_the_others_to_other_workers(messages):
    calls = []
    runs = start_counted(calls, 6)
    messages.clear()
    with mock.patch.object(pace, "QUICK_SECONDS", 3600):
        worker.several(dispatch.EXECUTE, None, fences(runs[:4]))
        assert (calls, messages) == ([0], [(dispatch.SEVERAL, (dispatch.EXECUTE, None, fences(runs[1:4])))])
        for run in runs[1:3]:
            worker.execute(run.pk, 1, 0)
        messages.clear()
        worker.several(dispatch.EXECUTE, None, fences(runs[3:]))
    assert (calls, messages) == ([0, 1, 2, 3, 4, 5], [])
    with mock.patch.object(pace, "QUICK_SECONDS", 0):
        pace.note(pace.place_of(runs[0]), 1)
    assert not pace.is_quick(pace.place_of(runs[0]))


def test_a_step_that_was_slow_leaves_the_others_to_as_many_workers(messages):
    calls = []
    runs = start_counted(calls, 3)
    messages.clear()
    pace.note(pace.place_of(runs[0]), 1)
    worker.several(dispatch.EXECUTE, None, fences(runs))
    assert (calls, messages) == ([0], [(dispatch.EXECUTE, fence) for fence in fences(runs[1:])])


def test_a_turn_that_is_over_leaves_the_rest_to_other_workers(messages, settings):
    settings.DJANGO_AI = {"SECONDS_PER_TASK": 0}
    worker.several(dispatch.EXECUTE, "here", [[1, 1, 0], [2, 1, 0], [3, 1, 0]])
    assert messages == [(dispatch.SEVERAL, (dispatch.EXECUTE, "here", [(2, 1, 0), (3, 1, 0)]))]


def test_a_burst_comes_to_its_end_however_short_the_turns_are(messages, settings):
    settings.DJANGO_AI = {"SECONDS_PER_TASK": 0}
    calls = []
    declare_counted(calls)
    engine.start_many("counted", [{"number": number} for number in range(4)])
    work_all(messages)
    assert sorted(calls) == [0, 1, 2, 3]


@pytest.mark.postgres
def test_of_several_those_after_a_lost_connection_are_done_on_a_new_one(messages):
    calls = []
    runs = start_counted(calls, 3)
    number = connection.connection.info.backend_pid
    elsewhere(lambda: connection.cursor().execute("SELECT pg_terminate_backend(%s, 5000)", [number]))
    messages.clear()
    worker.several(dispatch.EXECUTE, None, fences(runs))
    assert (calls, messages) == ([1], [(dispatch.EXECUTE, (runs[2].pk, 1, 0))])


def test_a_worker_that_stops_leaves_the_rest_to_other_workers(messages):
    stopping.announce()
    try:
        worker.several(dispatch.EXECUTE, None, [[1, 1, 0]])
    finally:
        stopping.withdraw()
    assert messages == [(dispatch.EXECUTE, (1, 1, 0))]


@pytest.mark.parametrize(("error", "left"), [(OSError, []), (SystemExit, [(dispatch.DELIVER, (3,))])])
def test_of_several_one_that_cannot_be_done_does_not_keep_the_others(messages, error, left):
    done = []

    def deliver(run_id, turn):
        if run_id == 2:
            raise error
        done.append(run_id)

    with mock.patch.dict(lanes.BEGINNINGS, {dispatch.DELIVER: deliver}), suppress(SystemExit):
        worker.several(dispatch.DELIVER, None, [[1], [2], [3]])
    assert messages == left
    assert done == ([1, 3] if not left else [1])


def test_a_poison_run_does_not_keep_others_from_waking(messages, settings, caplog):
    settings.DJANGO_AI = {"BATCH_SIZE": 2}
    declare_inquiry(timeout=timedelta(hours=1), on_timeout="give_up")
    poison, *good = [engine.start("inquiry") for _ in range(3)]
    for number, run in enumerate([poison, *good]):
        worker.execute(run.pk, 1, 0)
        Suspension.objects.filter(pk=run.pk).update(due_at=run.created_at - timedelta(hours=1 - number / 10))
    Suspension.objects.filter(pk=poison.pk).update(kind="unheard of")
    messages.clear()
    assert [scheduler.wake_due() for _ in range(3)] == [2, 1, 0]
    with caplog.at_level(logging.ERROR):
        work_all(messages)
    assert {reloaded(run).status for run in good} == {"completed"}
    assert f"wake{poison.pk, 2} failed" in caplog.text


def test_the_lease_of_a_claim_that_had_to_wait_for_its_row_is_renewed_before_the_step(messages):
    leases = []

    @workflow("long_awaited")
    class LongAwaited:
        @step(start=True)
        def begin(self):
            run = WorkflowRun.objects.get(pk=self.run_id)
            leases.append(run.lease_until > timezone.now())
            return complete()

    run = engine.start(LongAwaited)
    claim = lanes.take(run.pk, 1, 0)
    claim.asked -= 3600
    WorkflowRun.objects.update(lease_until=run.created_at - timedelta(hours=1))
    lanes.go_on(claim, worker.Turn(queue=None))
    assert (leases, reloaded(run).status) == ([True], "completed")


def test_a_run_that_another_worker_has_is_passed_over(messages):
    calls = []
    runs = start_counted(calls, 2)
    elsewhere(lambda: lanes.take(runs[0].pk, 1, 0))
    worker.several(dispatch.EXECUTE, None, fences(runs))
    assert calls == [1]
