"""A step that runs for too long is broken off, and that counts as an attempt."""

import signal
import sys
import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group

from django_ai.automation.workflows.core import Retry, complete, engine, step, workflow
from django_ai.automation.workflows.exceptions import DeclarationError, StaleClaim, StepTimedOut
from django_ai.automation.workflows.models import WorkflowRun
from django_ai.automation.workflows.runtime import attempts, timeouts, worker

from .declared import reloaded
from .racing import SECOND_TRANSACTION, elsewhere, work

BRIEF = timedelta(milliseconds=50)
AMPLE = timedelta(milliseconds=800)  # for what a step does before it goes on in vain
LONG = timedelta(days=1)
AT_ONCE = Retry(max_attempts=2, base_delay=timedelta(0))

# Where no thread takes an interruption: the main thread is reached by a signal, others by an exception.
interrupts_a_thread = pytest.mark.skipif(
    not timeouts.threads_can_be_interrupted(), reason="CPython 3.11 interrupts no other thread under a tracer"
)
untraced = pytest.mark.skipif(
    sys.gettrace() is not None, reason="what breaks off anywhere breaks a tracer off too, with its locks held"
)
in_each_thread = pytest.mark.parametrize(
    "thread",
    [
        pytest.param(lambda function: function(), id="main thread"),
        pytest.param(elsewhere, id="other thread", marks=interrupts_a_thread),
    ],
)


def in_vain():
    """Do something that never ends, in Python code."""
    while True:
        pass


def declare(body, timeout=BRIEF, **options):
    @workflow("slow")
    class Slow:
        @step(start=True, timeout=timeout, retry=AT_ONCE, **options)
        def begin(self):
            return body()


def never(error):
    raise AssertionError(error)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("atomic", [True, False])
@in_each_thread
def test_a_step_that_takes_too_long_fails_by_its_retry_policy(sent, thread, atomic):
    def body():
        Group.objects.create(name=f"attempt {Group.objects.count()}")
        in_vain()

    declare(body, timeout=AMPLE, atomic=atomic)
    run = engine.start("slow")
    thread(lambda: work(sent))
    failed = reloaded(run)
    assert (failed.status, run.step_executions.get().attempts) == ("failed", 2)
    assert failed.error == "The step ran for longer than its timeout of 0:00:00.800000. It was broken off."
    assert "in_vain" in run.step_executions.get().failures[0]["traceback"]
    assert Group.objects.count() == (0 if atomic else 2)


@pytest.mark.django_db(transaction=True)
def test_a_main_thread_that_is_blocked_is_interrupted(sent):
    declare(threading.Event().wait)
    run = engine.start("slow")
    work(sent)
    assert reloaded(run).status == "failed"


@pytest.mark.django_db(transaction=True)
@in_each_thread
def test_a_step_in_time_is_left_alone(sent, thread):
    declare(complete, timeout=LONG)
    run = engine.start("slow")
    thread(lambda: work(sent))
    assert reloaded(run).status == "completed"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("caught", [Exception, BaseException])
def test_a_step_that_catches_what_breaks_it_off_has_timed_out_all_the_same(sent, caught):
    def body():
        try:
            in_vain()
        except caught:
            return complete()

    declare(body)
    run = engine.start("slow")
    work(sent)
    assert "timeout" in reloaded(run).error


@interrupts_a_thread
@pytest.mark.django_db(transaction=True)
def test_what_a_query_left_behind_does_not_harm_the_next(sent):
    def body():
        while True:
            Group.objects.exists()

    declare(body, atomic=False)
    run = engine.start("slow")
    elsewhere(lambda: work(sent))
    assert reloaded(run).status == "failed"
    assert elsewhere(Group.objects.exists) is False


@SECOND_TRANSACTION
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("atomic", [True, False])
def test_a_step_that_cannot_be_broken_off_is_given_up_and_its_late_result_discarded(sent, monkeypatch, atomic):
    monkeypatch.setattr(timeouts, "GRACE_SECONDS", 0)
    given_up, blocked = threading.Event(), threading.Lock()
    blocked.acquire()
    settle = attempts._settle_failure

    def settled(*args):
        try:
            return settle(*args)
        finally:
            given_up.set()

    monkeypatch.setattr(attempts, "_settle_failure", settled)

    def body():
        Group.objects.create(name="late")
        blocked.acquire()  # no exception reaches a thread that waits here
        return complete()

    declare(body, atomic=atomic)
    run = engine.start("slow")
    sent.clear()
    stuck = threading.Thread(target=lambda: elsewhere(lambda: worker.execute(run.pk, run.sequence, run.attempt)))
    stuck.start()
    assert given_up.wait(60)
    elsewhere(lambda: WorkflowRun.objects.filter(pk=run.pk, lease_until=None, attempt=1, status="running").get())
    assert "It could not be broken off." in reloaded(run).error
    # Another worker has the next attempt already, and ends the run.
    declare_quick(run)
    work(sent)
    assert (reloaded(run).status, reloaded(run).completion_display["display_title"]) == ("completed", "quick")
    blocked.release()
    stuck.join(60)
    ended = reloaded(run)
    assert (ended.status, ended.completion_display["display_title"]) == ("completed", "quick")
    assert run.step_executions.get().attempts == 2
    assert Group.objects.exists() is not atomic


def declare_quick(run):
    from django_ai.automation.workflows.authoring.registry import registry

    registry.remove(registry.find("slow"))

    @workflow("slow")
    class Quick:
        @step(start=True)
        def begin(self):
            return complete(display_title="quick")


# The limit itself.


@untraced
@in_each_thread
def test_a_call_that_ends_at_its_time_either_returns_or_times_out_and_nothing_comes_later(thread):
    def spin(rounds):
        for _ in range(rounds):
            pass
        return rounds

    def race():
        seen = set()
        for number in range(400):
            try:
                outcome = timeouts.run(lambda n=number: spin(n * 100), timedelta(microseconds=300), never)
            except StepTimedOut:
                outcome = None
            seen.add(outcome is None)
            spin(100)
        return seen

    assert thread(race) == {True, False}
    assert not timeouts._watchdog()._limits


def test_the_handler_of_the_signal_is_what_it_was():
    before = signal.getsignal(signal.SIGALRM)
    timeouts.run(lambda: None, LONG, never)
    with pytest.raises(StepTimedOut):
        timeouts.run(in_vain, BRIEF, never)
    assert signal.getsignal(signal.SIGALRM) is before


def test_what_a_call_raises_itself_comes_through():
    with pytest.raises(KeyError):
        timeouts.run(lambda: {}["no"], LONG, never)
    with pytest.raises(SystemExit):
        timeouts.run(lambda: exec("raise SystemExit"), LONG, never)
    assert not timeouts._watchdog()._limits


def test_a_call_that_was_given_up_has_no_result(monkeypatch):
    monkeypatch.setattr(timeouts, "GRACE_SECONDS", 0)
    told, blocked = [], threading.Lock()
    blocked.acquire()

    def give_up(error):
        told.append(str(error))
        blocked.release()
        raise OSError("the database is away")  # the watchdog survives it

    def call():
        with pytest.raises(StaleClaim):
            timeouts.run(blocked.acquire, BRIEF, give_up)

    elsewhere(call)
    assert len(told) == 1
    monkeypatch.undo()
    with pytest.raises(StepTimedOut):
        timeouts.run(in_vain, BRIEF, never)


@pytest.mark.parametrize("timeout", [0, -1, timedelta(0), timedelta(days=31), True, "10", float("nan"), float("inf")])
def test_a_timeout_that_is_no_time_is_refused(timeout):
    with pytest.raises(DeclarationError, match="timeout="):
        step(timeout=timeout)


@pytest.mark.parametrize("timeout", [1, 0.5, timedelta(hours=1)])
def test_a_timeout_is_a_timedelta_or_seconds(timeout):
    assert step(timeout=timeout)
