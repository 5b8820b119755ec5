"""Whom the database ends for the sake of another one goes on: a deadlock costs a run nothing."""

import pytest
from django.db import OperationalError, transaction
from pydantic import BaseModel

from django_ai.automation.workflows.core import Retry, complete, engine, run_subflow, sleep, step, workflow
from django_ai.automation.workflows.exceptions import IllegalMove
from django_ai.automation.workflows.models import Signal, StepExecution, WorkflowRun
from django_ai.automation.workflows.runtime import portable, rows, vendors, worker

from .declared import declare_inquiry, reloaded
from .racing import work

pytestmark = pytest.mark.django_db(transaction=True)

DEADLOCK = (1213, "Deadlock found when trying to get lock")


class Refusing:
    """A transaction that the database ends a number of times before it lets it pass."""

    def __init__(self, times, *, number=1213):
        self.left, self.number, self.calls = times, number, 0

    def __call__(self):
        self.calls += 1
        if self.left:
            self.left -= 1
            raise OperationalError(self.number, DEADLOCK[1])
        return "done"


def test_a_transaction_that_was_the_victim_of_a_deadlock_is_tried_again():
    refusing = Refusing(rows.MOST_TRIES - 1)
    assert rows.despite_deadlocks(refusing) == "done"
    assert refusing.calls == rows.MOST_TRIES


@pytest.mark.parametrize(("times", "number"), [(rows.MOST_TRIES, 1213), (1, 2013)])
def test_a_transaction_that_cannot_succeed_is_not_tried_for_ever(times, number):
    with pytest.raises(OperationalError):
        rows.despite_deadlocks(Refusing(times, number=number))


def test_a_deadlock_in_the_callers_transaction_is_the_callers_to_deal_with():
    refusing = Refusing(1)
    with pytest.raises(OperationalError), transaction.atomic():
        rows.despite_deadlocks(refusing)
    assert refusing.calls == 1


@pytest.fixture(params=["in its way", "portably"])
def _way(request, monkeypatch):
    if request.param == "portably":
        monkeypatch.setattr(vendors, "WAYS", {})


@pytest.fixture
def victim(_way, monkeypatch):
    """Let the database end what calls a function of its way, a number of times, when all of it was written."""

    def begin(name, times):
        way, left = vendors.way(), [times]
        original = getattr(way, name)

        def ended(*arguments, **options):
            if not left[0]:
                return original(*arguments, **options)
            left[0] -= 1
            with transaction.atomic():
                original(*arguments, **options)
                raise OperationalError(*DEADLOCK)

        monkeypatch.setattr(way, name, ended)
        return left

    return begin


def declare_counted(calls, *, then=complete, **options):
    @workflow("counted", default_retry=Retry(max_attempts=1))
    class Counted:
        class Context(BaseModel):
            number: int = 0

        @step(start=True, **options)
        def begin(self):
            calls.append(1)
            self.context.number += 1
            return then()

        @step()
        def ended(self, subflow_result):
            return complete()

    return Counted


@pytest.mark.parametrize("times", [1, 2, rows.MOST_TRIES])
def test_an_answer_reaches_its_run_all_the_same(sent, victim, times):
    run = engine.start(declare_inquiry())
    work(sent)
    engine.signal("answer", {"text": "yes"}, run=run)
    left = victim("write", times)
    work(sent)
    ended = reloaded(run)
    assert (left, ended.status, ended.data["text"]) == ([0], "completed", "yes")
    assert list(Signal.objects.values_list("state", flat=True)) == ["delivered"]
    assert list(ended.step_executions.values_list("step_name", flat=True)) == ["ask", "note"]


def test_an_answer_that_the_database_refuses_again_and_again_stays_for_the_scheduler(sent, victim):
    run = engine.start(declare_inquiry())
    work(sent)
    engine.signal("answer", {"text": "yes"}, run=run)
    victim("write", rows.MOST_TRIES + 1)
    with pytest.raises(OperationalError):
        worker.deliver(run.pk)
    assert (reloaded(run).status, Signal.objects.get().state) == ("suspended", "pending")
    work(sent)
    assert reloaded(run).status == "completed"


@pytest.mark.parametrize("times", [1, 2, rows.MOST_TRIES])
def test_a_step_is_not_run_again_for_its_move(sent, victim, times):
    calls = []
    run = engine.start(declare_counted(calls, atomic=False))
    left = victim("write", times)
    work(sent)
    ended = reloaded(run)
    assert (left, len(calls), ended.status, ended.data["number"]) == ([0], 1, "completed", 1)
    assert list(StepExecution.objects.filter(run=run).values_list("attempts", flat=True)) == [1]


def test_a_child_is_started_once_with_its_parents_move(sent, victim):
    @workflow("child")
    class Child:
        @step(start=True)
        def begin(self):
            return complete()

    parent = declare_counted([], atomic=False, then=lambda: run_subflow(Child, on_complete="ended"))
    run = engine.start(parent)
    victim("write", 2)
    work(sent)
    assert reloaded(run).status == "completed"
    assert WorkflowRun.objects.filter(name="child").count() == 1


def test_a_failure_is_written_all_the_same(sent, victim):
    def fails():
        raise ValueError("no")

    run = engine.start(declare_counted([], then=fails))
    left = victim("write", 2)
    work(sent)
    ended = reloaded(run)
    assert (left, ended.status, ended.error) == ([0], "failed", "ValueError: no")


def test_a_run_is_started_and_signalled_all_the_same(sent, victim):
    left = victim("insert", 2)
    run = engine.using(tags=["one"]).start(declare_inquiry())
    assert (left, list(run.tags.values_list("name", flat=True))) == ([0], ["one"])
    work(sent)
    left = victim("insert", 2)
    assert engine.signal("answer", {"text": "yes"}, run=run) == 1
    work(sent)
    assert (left, reloaded(run).status) == ([0], "completed")
    assert (WorkflowRun.objects.count(), Signal.objects.count()) == (1, 1)


def test_a_step_is_claimed_all_the_same(sent, monkeypatch):
    monkeypatch.setattr(vendors, "WAYS", {})
    refusing, claim = Refusing(2), portable._claim
    monkeypatch.setattr(portable, "_claim", lambda *arguments: refusing() and claim(*arguments))
    run = engine.start(declare_counted([]))
    work(sent)
    assert (reloaded(run).status, refusing.left) == ("completed", 0)


def test_what_is_done_by_hand_is_done_all_the_same(sent, victim):
    @workflow("sleeper")
    class Sleeper:
        class Context(BaseModel):
            number: int = 0

        @step(start=True)
        def begin(self):
            return sleep(3600, then="ended")

        @step()
        def ended(self):
            return complete()

    run = engine.start(Sleeper)
    work(sent)
    left = victim("write", 2)
    assert engine.edit(run, number=7).data["number"] == 7
    assert left == [0]
    left = victim("write", 2)
    engine.wake(run)
    assert left == [0]
    work(sent)
    with pytest.raises(IllegalMove):
        engine.wake(run)
    left = victim("insert", 2)
    again = engine.restart(run, 1)
    assert (left, again.current_step) == ([0], "begin")
