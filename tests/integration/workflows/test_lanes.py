"""A worker with two runs: the code of one runs while the move of the other is being committed."""

import logging
import os
from datetime import timedelta
from unittest import mock

import pytest
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections, transaction
from django.utils import timezone
from pydantic import BaseModel

from django_ai.automation import broker
from django_ai.automation.workflows.core import Retry, complete, engine, get_context, goto, step, workflow
from django_ai.automation.workflows.models import Signal, StepExecution, Suspension, WorkflowRun
from django_ai.automation.workflows.runtime import (
    by_hand,
    dispatch,
    heartbeat,
    lanes,
    moving,
    pace,
    pipe,
    postgresql,
    posting,
    rows,
    worker,
)

from .declared import declare_inquiry, reloaded
from .racing import elsewhere, together

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

CALLS = []
INTERRUPTIONS = {}


@pytest.fixture(autouse=True)
def _crowded(_calm, monkeypatch):
    """Let each run have waited for long, and each step be quick unless the test says otherwise."""
    monkeypatch.setattr(lanes, "CROWDED", timedelta(seconds=-1))
    monkeypatch.setattr(pace, "QUICK_SECONDS", 3600)
    pace.forget()
    lanes.forget()
    CALLS.clear()
    INTERRUPTIONS.clear()
    yield
    pace.forget()
    lanes.forget()


@pytest.fixture
def messages():
    found = []
    with mock.patch.object(broker, "publisher", lambda task, args, **options: found.append((task, args))):
        yield found


def declare(*, atomic=True, retry=None, **options):
    @workflow("trip", **options)
    class Trip:
        class Context(BaseModel):
            name: str
            text: str = ""

        def _note(self, step_name):
            run = WorkflowRun.objects.get(pk=self.run_id) if "look" in INTERRUPTIONS else None
            assert run is None or run.current_step == step_name
            name = get_context().name
            CALLS.append(f"{name} {step_name}")
            INTERRUPTIONS.get(CALLS[-1], lambda run_id: None)(self.run_id)

        @step(start=True, atomic=atomic, retry=retry)
        def go(self):
            self._note("go")
            return goto(self.rest)

        @step(atomic=atomic)
        def rest(self):
            self._note("rest")
            return goto(self.come)

        @step(atomic=atomic)
        def come(self):
            self._note("come")
            return complete()

    for name in ("go", "rest", "come"):
        for _ in range(pace.ENOUGH):
            pace.note(("trip", "1", name), 0)
    return Trip


def execute(run):
    worker.execute(run.pk, run.sequence, run.attempt)


def start(*names, **options):
    declare(**options)
    return [engine.start("trip", name=name) for name in names]


def visits(run):
    return list(run.step_executions.order_by("sequence").values_list("step_name", "status", "attempts"))


THREE = [(name, "completed", 1) for name in ("go", "rest", "come")]
IN_TURNS = ["a go", "b go", "a rest", "b rest", "a come", "b come"]


@pytest.mark.parametrize("atomic", [True, False])
def test_the_steps_of_two_runs_are_run_in_turns(messages, atomic):
    runs = start("a", "b", atomic=atomic)
    execute(runs[0])
    assert CALLS == IN_TURNS
    assert [reloaded(run).status for run in runs] == ["completed"] * 2
    assert [visits(run) for run in runs] == [THREE] * 2


def test_a_step_begins_when_the_move_that_led_to_it_is_committed(messages):
    INTERRUPTIONS["look"] = None
    runs = start("a", "b", atomic=False)
    execute(runs[0])
    assert CALLS == IN_TURNS
    assert [visits(run) for run in runs] == [THREE] * 2


def test_the_message_of_a_run_that_was_taken_along_does_nothing(messages):
    runs = start("a", "b")
    execute(runs[0])
    assert messages.pop() == (dispatch.EXECUTE, (runs[1].pk, 1, 0))
    execute(runs[1])
    assert len(CALLS) == 6


def test_a_message_of_a_run_that_was_taken_along_goes_on_with_those_that_were_left_behind(
    messages, settings, monkeypatch
):
    settings.DJANGO_AI = {"STEPS_PER_TASK": 9}
    monkeypatch.setattr(lanes, "LANES", 3)
    runs = start(*"abcde")
    execute(runs[0])
    assert [reloaded(run).status for run in runs] == ["completed"] * 3 + ["running"] * 2
    execute(runs[1])
    assert [reloaded(run).status for run in runs] == ["completed"] * 5
    execute(runs[1])
    assert len(CALLS) == 15


def test_one_task_goes_on_until_its_turn_is_over(messages, settings):
    settings.DJANGO_AI = {"STEPS_PER_TASK": 9}
    runs = start(*"abcdef")
    messages.clear()
    execute(runs[0])
    assert len(CALLS) == 9  # with those that were claimed when the turn ended
    left = [run for run in map(reloaded, runs) if run.status == "running" and run.sequence > 1]
    assert sorted(messages) == [(dispatch.EXECUTE, (run.pk, run.sequence, 0)) for run in left]
    assert not WorkflowRun.objects.filter(lease_until__isnull=False).exists()


def test_the_runs_of_one_message_are_run_in_turns(messages):
    runs = start("a", "b", "c")
    messages.clear()
    worker.several(dispatch.EXECUTE, None, [(run.pk, 1, 0) for run in runs])
    assert (CALLS, messages) == ([f"{name} {step}" for step in ("go", "rest", "come") for name in "abc"], [])


def _slow(runs):
    pace.note(("trip", "1", "go"), 3601)


def _claimed(runs):
    elsewhere(lambda: lanes.take(runs[1].pk, 1, 0))


def _not_crowded(runs):
    lanes.CROWDED = timedelta(hours=1)


def _earlier(runs):
    runs.reverse()


def _tried(runs):
    WorkflowRun.objects.filter(pk=runs[1].pk).update(attempt=1)


def _watched(runs):
    connection.execute_wrappers.append(lambda execute, *args: execute(*args))


def _unprepared(runs):
    connection.ensure_connection()
    connection.connection.prepare_threshold = None


@pytest.mark.parametrize("why", [_slow, _claimed, _not_crowded, _earlier, _tried, _watched, _unprepared])
def test_no_run_is_taken_along(messages, monkeypatch, why):
    monkeypatch.setattr(lanes, "CROWDED", lanes.CROWDED)
    runs = start("a", "b")
    why(runs)
    execute(runs[0])
    connection.execute_wrappers.clear()
    connection.close()
    assert len(CALLS) == 3
    assert reloaded(runs[1]).sequence == 1


def test_a_step_that_has_but_one_attempt_is_not_kept_waiting(messages):
    runs = start("a", "b", retry=Retry(max_attempts=1))
    execute(runs[0])
    assert (CALLS[:1], reloaded(runs[1]).attempt, reloaded(runs[1]).sequence) == (["a go"], 0, 1)


def test_no_run_of_another_queue_is_taken_along(messages):
    runs = start("a")

    @workflow("elsewhere", queue="elsewhere")
    class Elsewhere:
        @step(start=True)
        def begin(self):
            return complete()

    for _ in range(pace.ENOUGH):
        pace.note(("elsewhere", "1", "begin"), 0)
    other = engine.start(Elsewhere)
    execute(runs[0])
    assert reloaded(other).attempt == 0


def test_a_step_that_may_take_long_is_left_to_others_while_there_are_two(messages):
    runs = start("a", "b")
    pace.note(("trip", "1", "come"), 3601)
    messages.clear()
    execute(runs[0])
    assert CALLS == ["a go", "b go", "a rest", "b rest"]
    assert messages == [(dispatch.EXECUTE, (run.pk, 3, 0)) for run in runs]


def test_a_posted_move_of_a_run_that_moved_on_is_discarded(messages, caplog):
    runs = start("a", "b", atomic=False)
    INTERRUPTIONS["a rest"] = engine.cancel
    with caplog.at_level(logging.WARNING):
        execute(runs[0])
    assert "moved on while step rest ran; its result was discarded" in caplog.text
    assert [reloaded(run).status for run in runs] == ["cancelled", "completed"]
    assert visits(runs[1]) == THREE


def test_a_posted_move_that_the_database_refuses_fails_the_step_alone(messages):
    runs = start("a", "b")
    # Its visit is in the history already, so its row of history is refused, and all else with it.
    StepExecution.objects.create(
        run=runs[0],
        sequence=1,
        step_name="go",
        status="completed",
        started_at=timezone.now(),
        created_at=timezone.now(),
    )
    execute(runs[0])
    refused = reloaded(runs[0])
    assert (refused.status, refused.sequence, refused.attempt) == ("suspended", 1, 1)
    assert "IntegrityError" in refused.error
    assert visits(runs[1]) == THREE


def test_moves_that_cannot_be_posted_any_more_are_made_on_the_other_connection(messages):
    def cut(run_id):
        ours = connection.connection.info.backend_pid
        elsewhere(
            lambda: connection.cursor().execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid NOT IN (%s, pg_backend_pid())",
                [ours],
            )
        )

    runs = start("a", "b")
    connection.ensure_connection()
    INTERRUPTIONS["b go"] = cut
    execute(runs[0])
    assert [reloaded(run).status for run in runs] == ["completed"] * 2
    assert [visits(run) for run in runs] == [THREE] * 2


@pytest.mark.parametrize("how_many", [1, 100])
def test_answers_that_are_lost_are_found_out_by_the_fence(messages, monkeypatch, caplog, how_many):
    runs = start("a", "b")
    answer, lost = pipe.Pipe.answer, []

    def lose(self):
        found = answer(self)
        lost.append(found)
        return None if len(lost) <= how_many else found

    monkeypatch.setattr(pipe.Pipe, "answer", lose)
    execute(runs[0])
    # It was written after all, as its fence says, and the lease says by whom.
    assert [visits(run) for run in runs] == [THREE] * 2
    assert [reloaded(run).status for run in runs] == ["completed"] * 2
    assert "moved on" not in caplog.text


def test_a_move_that_cannot_be_posted_is_tried_again_after_a_deadlock(messages, monkeypatch):
    write, left = postgresql.write, [rows.MOST_TRIES - 1]

    def refuse(writes):
        if left[0]:
            left[0] -= 1
            raise OperationalError(1213, "Deadlock found when trying to get lock")
        return write(writes)

    runs = start("a", "b")
    monkeypatch.setattr(pipe.Pipe, "send", lambda *arguments: False)
    monkeypatch.setattr(postgresql, "write", refuse)
    execute(runs[0])
    assert (left, CALLS) == ([0], IN_TURNS)
    assert [visits(run) for run in runs] == [THREE] * 2


def test_the_lease_of_a_posted_move_is_renewed_until_its_answer_has_come(messages):
    kept = []

    def look(run_id):
        kept.append(set(heartbeat._hearts[os.getpid()]._kept))

    runs = start("a", "b")
    INTERRUPTIONS["b go"] = look
    execute(runs[0])
    assert kept == [{(runs[0].pk, 1, 1), (runs[1].pk, 1, 1)}]
    assert not heartbeat._hearts[os.getpid()]._kept


@pytest.mark.parametrize("atomic", [True, False])
def test_a_worker_that_is_made_to_end_leaves_both_runs_to_others(messages, atomic):
    def end(run_id):
        raise SystemExit(-(256 - 15))

    runs = start("a", "b", atomic=atomic)
    messages.clear()
    INTERRUPTIONS["b rest"] = end
    with pytest.raises(SystemExit):
        execute(runs[0])
    waiting, broken_off = map(reloaded, runs)
    assert (waiting.current_step, waiting.attempt, waiting.lease_until) == ("come", 0, None)
    assert messages == [(dispatch.EXECUTE, (waiting.pk, 3, 0))]
    assert (broken_off.current_step, broken_off.attempt) == ("rest", 0)
    assert broken_off.lease_until < timezone.now()


def test_a_worker_that_ends_while_it_waits_for_an_answer_leaves_the_run_to_its_lease(messages, monkeypatch):
    def end(self):
        self.close()
        raise SystemExit

    runs = start("a", "b")
    monkeypatch.setattr(pipe.Pipe, "answer", end)
    with pytest.raises(SystemExit):
        execute(runs[0])
    assert all(run.lease_until is None or run.lease_until < timezone.now() for run in map(reloaded, runs))
    monkeypatch.undo()
    connection.close()
    for run in map(reloaded, runs):
        execute(run)
    assert [reloaded(run).status for run in runs] == ["completed"] * 2


def test_a_step_whose_lease_is_over_and_somebody_elses_is_not_begun(messages):
    run = start("a")[0]
    claim = lanes.take(run.pk, 1, 0)
    claim.asked -= 3600
    WorkflowRun.objects.update(lease_until=run.created_at - timedelta(hours=1))
    elsewhere(lambda: lanes.take(run.pk, 1, 1))
    lanes.go_on(claim, worker.Turn(queue=None))
    assert CALLS == []


def test_what_does_not_fit_into_the_networks_buffers_is_posted_too(messages):
    runs = start("a", "b")
    text = "x" * 900_000
    WorkflowRun.objects.update(data={"name": "a", "text": ""})

    def grow(run_id):
        get_context().text = text

    INTERRUPTIONS["a go"] = grow
    execute(runs[0])
    assert [len(reloaded(run).data["text"]) for run in runs] == [900_000, 900_000]
    assert [reloaded(run).status for run in runs] == ["completed"] * 2


def test_two_workers_take_along_different_runs(messages):
    start(*"abcdefgh")
    places = pace.quick_places()
    taken = together(*[lambda: postgresql.claim_another(places, 0)] * 4)
    assert len({run.pk for run in taken if run}) == len([run for run in taken if run]) >= 1
    assert all(run.attempt == 1 for run in taken if run)


def test_a_database_that_takes_no_more_connections_is_no_reason_to_fail(messages, monkeypatch):
    runs = start("a", "b")
    connection.ensure_connection()
    refuse = mock.Mock(side_effect=connection.Database.OperationalError)
    monkeypatch.setattr(type(connections[DEFAULT_DB_ALIAS]), "get_new_connection", refuse)
    execute(runs[0])
    assert refuse.called
    assert (reloaded(runs[0]).status, CALLS) == ("completed", ["a go", "a rest", "a come"])


def inquiries(count, **options):
    declare_inquiry(**options)
    for _ in range(pace.ENOUGH):
        pace.note(("inquiry", "1", "note"), 0)
    runs = [engine.start("inquiry") for _ in range(count)]
    for run in runs:
        execute(run)
    return runs


@pytest.fixture
def posted(monkeypatch):
    """The statements that were posted."""
    found, send = [], pipe.Pipe.send

    def noted(self, text, parameters):
        found.append(text)
        return send(self, text, parameters)

    monkeypatch.setattr(pipe.Pipe, "send", noted)
    return found


def test_the_runs_that_a_signal_wakes_are_woken_while_others_go_on(messages, posted):
    runs = inquiries(5)
    engine.signal("answer", {"text": "yes"})
    messages.clear()
    worker.several(dispatch.DELIVER, None, [(run.pk,) for run in runs])
    assert [(reloaded(run).status, reloaded(run).data["answers"]) for run in runs] == [("completed", ["yes"])] * 5
    assert set(Signal.objects.values_list("state", flat=True)) == {"delivered"}
    # The last one's steps are run alone.
    assert (len(posted) >= 8, messages) == (True, [])


@pytest.mark.parametrize("act", [lambda run: by_hand.edit(run, {"number": 7}), engine.cancel])
def test_a_run_that_changed_before_its_move_was_posted_is_moved_under_its_lock(messages, posted, monkeypatch, act):
    runs = inquiries(3)
    engine.signal("answer", {"text": "yes"})
    glances = moving.glances

    def overtaken(run_ids):
        seen = glances(run_ids)
        elsewhere(lambda: act(runs[0].pk))
        return seen

    monkeypatch.setattr(moving, "glances", overtaken)
    worker.several(dispatch.DELIVER, None, [(run.pk,) for run in runs])
    found = [reloaded(run) for run in runs]
    if act == engine.cancel:
        assert [run.status for run in found] == ["cancelled", "completed", "completed"]
    else:
        assert [(run.status, run.data["answers"]) for run in found] == [("completed", ["yes"])] * 3
        assert found[0].data["number"] == 7
    assert posted


def test_an_answer_that_does_not_fit_is_rejected_and_keeps_no_other(messages, settings):
    runs = inquiries(3)
    engine.signal("answer", {"text": "x" * 300}, run=runs[0])
    engine.signal("answer", {"text": "short"})
    settings.DJANGO_AI = {"MAX_CONTEXT_BYTES": 200}
    worker.several(dispatch.DELIVER, None, [(run.pk,) for run in runs])
    assert [reloaded(run).data["answers"] for run in runs] == [["short"]] * 3
    assert [signal.state for signal in runs[0].signals.order_by("id")] == ["rejected", "delivered"]


def test_timers_that_are_due_are_woken_while_others_go_on(messages, posted):
    runs = inquiries(4, timeout=timedelta(hours=1), on_timeout="give_up")
    for _ in range(pace.ENOUGH):
        pace.note(("inquiry", "1", "give_up"), 0)
    Suspension.objects.update(due_at=runs[0].created_at)
    worker.several(dispatch.WAKE, None, [(run.pk, 2) for run in runs])
    assert [reloaded(run).data["text"] for run in runs] == ["gave up"] * 4
    assert len(posted) >= 6


def test_a_row_that_the_other_connection_does_not_see_is_moved_on_the_first(messages, monkeypatch):
    monkeypatch.setattr(pipe.Pipe, "answer", lambda self, answer=pipe.Pipe.answer: answer(self) and False)
    runs = start("a", "b")
    execute(runs[0])
    assert [visits(run) for run in runs] == [THREE] * 2


def test_who_is_broken_off_before_the_answer_was_taken_puts_nothing_out_of_step(messages, monkeypatch):
    lost, written = [], posting._written

    def break_off(posted, turn):
        if not lost:
            lost.append(posted)
            raise OSError("anything, at any place")
        return written(posted, turn)

    monkeypatch.setattr(posting, "_written", break_off)
    runs = start("a", "b")
    execute(runs[0])
    assert (reloaded(runs[1]).status, visits(runs[1])) == ("completed", THREE)


@pytest.mark.parametrize("attempts", [1, 2])
def test_the_last_attempt_is_not_kept_waiting(messages, attempts):
    runs = start("a", "b", retry=Retry(max_attempts=2))
    WorkflowRun.objects.filter(pk=runs[1].pk).update(attempt=attempts - 1)
    messages.clear()
    worker.several(dispatch.EXECUTE, None, [(runs[0].pk, 1, 0), (runs[1].pk, 1, attempts - 1)])
    waited = CALLS[:2] == ["a go", "b go"]
    assert waited == (attempts == 1)
    assert bool(messages) == (attempts == 2)


def test_where_the_drivers_library_knows_no_pipeline_each_move_is_waited_for(messages, monkeypatch):
    monkeypatch.setattr(connection.Database.Pipeline, "is_supported", classmethod(lambda cls: False))
    runs = start("a", "b")
    execute(runs[0])
    assert len(CALLS) == 3


def test_a_look_for_others_that_fails_does_not_end_the_task(messages, monkeypatch, caplog):
    monkeypatch.setattr(postgresql, "claim_another", mock.Mock(side_effect=OperationalError("canceled")))
    runs = start("a", "b")
    execute(runs[0])
    assert (reloaded(runs[0]).status, CALLS) == ("completed", ["a go", "a rest", "a come"])
    assert "Could not look for other runs" in caplog.text


def test_a_step_without_statements_that_wants_its_transaction_rolled_back_fails_as_elsewhere(messages):
    def refuse(run_id):
        transaction.set_rollback(True)

    runs = start("a")
    INTERRUPTIONS["a go"] = refuse
    execute(runs[0])
    assert "TransactionManagementError" in reloaded(runs[0]).error
