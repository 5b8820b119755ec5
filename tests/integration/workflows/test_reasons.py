"""However an attempt ends, its run and its history keep the reason."""

import asyncio
import logging
import sys
from datetime import timedelta

import pytest
from django.db import transaction

from django_ai.automation.workflows.core import Retry, complete, engine, goto, step, workflow
from django_ai.automation.workflows.exceptions import FormFailed
from django_ai.automation.workflows.models import WorkflowRun
from django_ai.automation.workflows.runtime import forms, heartbeat, lanes, scheduler, worker
from django_ai.automation.workflows.statezero_action import statezero_action
from tests.app.models import Note

from .declared import reloaded
from .racing import work

pytestmark = pytest.mark.django_db


class Mute(Exception):
    def __str__(self):
        raise AttributeError("no answer")


class NoText(Exception):
    __str__ = __repr__ = lambda self: None


class BadNotes(Exception):
    def __init__(self):
        super().__init__("noted")
        self.add_note("x")
        self.__notes__ = [NoText()]


class Own(BaseException):
    pass


def raising(error):
    def body():
        raise error

    return body


def leave_by_generator():
    def numbers():
        yield 1

    next(numbers())
    raise GeneratorExit("closed")


async def cancelled():
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


def declare(body, attempts=1, **options):
    @workflow("reasoned", default_retry=Retry(max_attempts=attempts, base_delay=timedelta(0)))
    class Reasoned:
        @step(start=True, **options)
        def begin(self):
            body()
            return goto(self.end)

        @step()
        def end(self):
            return complete()

    return Reasoned


ENDS = {
    "SystemExit: no licence": lambda: sys.exit("no licence"),
    "SystemExit: 3": lambda: sys.exit(3),
    "SystemExit": sys.exit,
    "CancelledError: not now": raising(asyncio.CancelledError("not now")),
    "CancelledError": lambda: asyncio.run(cancelled()),
    "GeneratorExit: closed": leave_by_generator,
    "KeyboardInterrupt: by hand": raising(KeyboardInterrupt("by hand")),
    "Own: mine": raising(Own("mine")),
    "Mute: (its text cannot be made: AttributeError)": raising(Mute()),
    "NoText: (its text cannot be made: TypeError)": raising(NoText()),
    "BadNotes: noted": raising(BadNotes()),
    "BaseExceptionGroup: several (2 sub-exceptions): ValueError: a; Own: b": raising(
        BaseExceptionGroup("several", [ValueError("a"), Own("b")])
    ),
    "BaseExceptionGroup: one (1 sub-exception): SystemExit: 1": raising(BaseExceptionGroup("one", [SystemExit(1)])),
}


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("reason", ENDS)
def test_the_run_says_what_ended_its_step(workflows, reason, atomic):
    declare(lambda: (Note.objects.create(text="undone"), ENDS[reason]()), atomic=atomic)
    run = engine.start("reasoned")
    workflows.drain()
    (visit,) = run.step_executions.all()
    assert (reloaded(run).status, reloaded(run).error, visit.error) == ("failed", reason, reason)
    assert visit.failures[0]["error"] == reason
    assert visit.failures[0]["traceback"]
    assert Note.objects.count() == (0 if atomic else 1)


def test_a_step_that_exits_is_tried_again_like_any_other(workflows):
    left = [SystemExit("not yet"), asyncio.CancelledError()]
    declare(lambda: left and raising(left.pop(0))(), attempts=3)
    run = engine.start("reasoned")
    workflows.drain()
    assert reloaded(run).status == "completed"
    failures = run.step_executions.get(step_name="begin").failures
    assert [failure["error"] for failure in failures] == ["SystemExit: not yet", "CancelledError"]


def test_a_reason_is_kept_in_a_thread_with_a_time_limit(workflows):
    declare(ENDS["SystemExit: no licence"], timeout=timedelta(minutes=1))
    run = engine.start("reasoned")
    workflows.drain()
    assert reloaded(run).error == "SystemExit: no licence"


@pytest.mark.django_db(transaction=True)
def test_a_hook_that_exits_after_the_commit_costs_the_run_nothing(sent, caplog):
    declare(lambda: transaction.on_commit(lambda: sys.exit("hook")))
    run = engine.start("reasoned")
    with caplog.at_level(logging.ERROR):
        work(sent)
    assert reloaded(run).status == "completed"
    assert "had left to be done after its commit failed" in caplog.text


@pytest.mark.parametrize("reason", ENDS)
def test_a_form_whose_step_ends_in_any_way_keeps_the_reason_and_stays_open(workflows, reason):
    @workflow("reasoned_form")
    class ReasonedForm:
        @statezero_action(name="reasoned")
        @step(start=True)
        def begin(self):
            ENDS[reason]()

    run = engine.start("reasoned_form")
    with pytest.raises(FormFailed):
        forms.submit(run.pk, forms.Post("reasoned", {}), lambda moved: moved.status)
    run = reloaded(run)
    assert (run.status, run.lease_until, run.failures[0]["error"]) == ("suspended", None, reason)


def let_the_lease_run_out(run):
    """Give a run to other workers, as the scheduler does when its worker is silent for a lease."""
    past = scheduler.clock.now() - timedelta(seconds=1)
    WorkflowRun.objects.filter(pk=run.pk).update(lease_until=past)
    scheduler.resend_steps()


@pytest.mark.parametrize("atomic", [True, False])
def test_the_result_of_a_step_counts_beyond_its_lease_if_no_other_attempt_has_begun(workflows, atomic):
    calls = []
    declare(lambda: (calls.append(1), let_the_lease_run_out(run)), atomic=atomic)
    run = engine.start("reasoned")
    workflows.drain()
    assert (reloaded(run).status, len(calls)) == ("completed", 1)


@pytest.mark.parametrize("error", [None, ValueError("wrong")])
def test_history_says_that_an_attempt_went_on_beyond_its_lease(workflows, error):
    """The second attempt begins in the midst of the first, ends after it, and writes the visit."""

    def body():
        calls.append(1)
        if len(calls) == 1:
            let_the_lease_run_out(run)
            claims.append(lanes.take(run.pk, run.sequence, 1))
            if error:
                raise error

    calls, claims = [], []
    declare(body, attempts=3, atomic=False)
    run = engine.start("reasoned")
    worker.execute(run.pk, run.sequence, 0)
    assert "went on beyond its lease of 30 s" in reloaded(run).failures[0]["error"]
    lanes.go_on(claims[0], lanes.Turn(queue=None))
    visit = run.step_executions.get(step_name="begin")
    assert (reloaded(run).status, visit.attempts) == ("completed", 2)
    assert "went on beyond its lease" in visit.failures[0]["error"]
    assert reloaded(run).failures == []


def test_history_is_corrected_where_the_visit_has_ended_before_the_attempt(workflows):
    def body():
        calls.append(1)
        if len(calls) == 1:
            let_the_lease_run_out(run)
            worker.execute(run.pk, run.sequence, 1)

    calls = []
    declare(body, attempts=3, atomic=False)
    run = engine.start("reasoned")
    worker.execute(run.pk, run.sequence, 0)
    visit = run.step_executions.get(step_name="begin")
    assert visit.attempts == 2
    assert "went on beyond its lease" in visit.failures[0]["error"]


def test_history_is_corrected_where_the_run_was_given_up_before_the_attempt_ended(workflows):
    def body():
        let_the_lease_run_out(run)
        worker.execute(run.pk, run.sequence, 1)

    declare(body, attempts=1, atomic=False)
    run = engine.start("reasoned")
    worker.execute(run.pk, run.sequence, 0)
    (failure,) = run.step_executions.get().failures
    assert reloaded(run).status == "failed"
    assert "a call held its interpreter" in reloaded(run).error
    assert "went on beyond its lease" in failure["error"]


def test_a_run_that_was_cancelled_meanwhile_keeps_no_word_of_a_lease(workflows):
    declare(lambda: engine.cancel(run), atomic=False)
    run = engine.start("reasoned")
    workflows.drain()
    assert (reloaded(run).status, reloaded(run).failures) == ("cancelled", [])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("still", [10, 45])
def test_a_heart_that_was_held_up_says_so_and_renews_what_no_other_worker_has_begun(sent, monkeypatch, caplog, still):
    declare(lambda: None)
    run = engine.start("reasoned")
    claim = lanes.take(run.pk, run.sequence, 0)
    let_the_lease_run_out(run)
    ticks = iter([None, None])
    monkeypatch.setattr(heartbeat, "sleep", lambda _: next(ticks))
    monkeypatch.setattr(heartbeat, "monotonic", iter([0, still, still, *[still + 1] * 9]).__next__)
    heart = heartbeat.Heart()
    heart._kept[(run.pk, claim.run.sequence, claim.run.attempt)] = 1
    with caplog.at_level(logging.WARNING), pytest.raises(StopIteration):
        heart._beat()
    assert ("ran out though their worker is alive" in caplog.text) == (still > 30)
    assert (reloaded(run).lease_until is not None) == (still > 30)
