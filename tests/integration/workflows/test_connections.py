"""The server may close a connection at any moment: completed work is kept, and is not repeated."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection, connections, transaction
from pydantic import BaseModel

from django_ai.automation.workflows.core import Retry, complete, engine, goto, step, workflow
from django_ai.automation.workflows.exceptions import CommitUnknown
from django_ai.automation.workflows.models import Signal, WorkflowRun
from django_ai.automation.workflows.runtime import (
    forms,
    heartbeat,
    lanes,
    postgresql,
    rows,
    scheduler,
    stopping,
    worker,
)
from django_ai.automation.workflows.statezero_action import statezero_action
from tests.app.models import Note

from .declared import declare_inquiry, reloaded
from .racing import work

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no server that closes connections"),
]

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="one statement is a move on PostgreSQL")

OF_SERVER = {
    "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend(%s, 5000)"),
    "mysql": ("SELECT CONNECTION_ID()", "KILL %s"),
}


def cut():
    """Have the server close this thread's connection, as an idle time-out, a pooler or a restart does."""
    connection.ensure_connection()
    own, kill = OF_SERVER[connection.vendor]
    with connection.connection.cursor() as cursor:
        cursor.execute(own)
        (number,) = cursor.fetchone()
    cut_number(number, kill)


def cut_number(number, kill):
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute(kill, [number])
    finally:
        other.close()


def cut_unnoticed():
    """Close the connection without a word to it before: in a transaction nothing is sent that begins one."""
    if connection.vendor == "postgresql":
        cut_number(connection.connection.info.backend_pid, OF_SERVER["postgresql"][1])
    else:
        cut()


class Losing:
    """Loses the connection at a call of a function, before it does anything or when it has."""

    def __init__(self, original, *, done, at=1):
        self.original, self.done, self.left = original, done, at

    def __call__(self, *arguments, **options):
        self.left -= 1
        if self.left:
            return self.original(*arguments, **options)
        if self.done:
            self.original(*arguments, **options)
        cut()
        with connection.wrap_database_errors, connection.connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        raise AssertionError("the connection still works")


@pytest.fixture
def commits(monkeypatch):
    """Lose the connection at one of the commits, before the server has it or before its answer comes."""

    def lose(*, done, at=1):
        monkeypatch.setattr(connection, "_commit", Losing(connection._commit, done=done, at=at))

    return lose


@pytest.fixture
def writes(monkeypatch):
    """Lose the connection at a move that is one statement."""

    def lose(*, done):
        monkeypatch.setattr(postgresql, "write", Losing(postgresql.write, done=done))

    return lose


def declare(body, *, attempts=2, **options):
    @workflow("cut_off", default_retry=Retry(max_attempts=attempts, base_delay=timedelta(0)))
    class CutOff:
        class Context(BaseModel):
            calls: int = 0

        @step(start=True, **options)
        def begin(self):
            self.context.calls += 1
            body()
            return goto(self.end)

        @step()
        def end(self):
            return complete()

    return CutOff


def ended(sent):
    work(sent)
    return WorkflowRun.objects.get()


@pytest.mark.parametrize("atomic", [False, True])
def test_the_result_of_a_step_survives_the_loss_of_its_idle_connection(sent, atomic):
    calls = []
    engine.start(declare(lambda: (calls.append(1), cut_unnoticed()), attempts=1, atomic=atomic))
    if connection.vendor == "mysql" and atomic:
        pytest.skip("MariaDB's transaction begins with the step")
    run = ended(sent)
    assert (run.status, run.data["calls"], len(calls)) == ("completed", 1, 1), run.error


def test_a_failed_attempt_whose_connection_died_is_recorded_with_its_reason(sent):
    def body():
        cut()
        raise ValueError("the gateway is closed")

    engine.start(declare(body, attempts=1, atomic=False))
    run = ended(sent)
    assert (run.status, run.error) == ("failed", "ValueError: the gateway is closed")


def test_an_atomic_step_whose_transaction_was_lost_says_so_and_is_tried_again(sent):
    left = [1]

    def body():
        Note.objects.create(text="once")
        if left:
            left.pop()
            cut_unnoticed()

    engine.start(declare(body))
    run = ended(sent)
    (visit,) = run.step_executions.filter(step_name="begin")
    assert (run.status, visit.attempts, Note.objects.count()) == ("completed", 2, 1)
    assert visit.failures[0]["error"].startswith("OperationalError: ")
    assert "disappeared" not in str(visit.failures)


def test_an_atomic_step_without_further_attempts_fails_with_the_databases_error(sent):
    engine.start(declare(lambda: (Note.objects.create(text="lost"), cut_unnoticed()), attempts=1))
    run = ended(sent)
    assert (run.status, Note.objects.count()) == ("failed", 0)
    assert run.error.startswith("OperationalError: ")


@pytest.mark.parametrize("done", [True, False], ids=["committed", "not committed"])
def test_an_atomic_step_is_done_once_though_nobody_confirmed_its_commit(sent, commits, done):
    hooks = []

    def body():
        Note.objects.create(text="once")
        transaction.on_commit(lambda: hooks.append(1))

    engine.start(declare(body))
    commits(done=done)
    run = ended(sent)
    (visit,) = run.step_executions.filter(step_name="begin")
    assert (run.status, Note.objects.count(), hooks) == ("completed", 1, [1])
    assert visit.attempts == (1 if done else 2)


@on_postgresql
@pytest.mark.parametrize("done", [True, False], ids=["written", "not written"])
def test_a_step_is_called_once_though_the_answer_to_its_move_was_lost(sent, writes, done):
    calls = []
    engine.start(declare(lambda: calls.append(1), attempts=1, atomic=False))
    writes(done=done)
    run = ended(sent)
    assert (run.status, len(calls), run.step_executions.count()) == ("completed", 1, 2), run.error


@pytest.mark.parametrize("done", [True, False], ids=["committed", "not committed"])
def test_a_failure_is_recorded_once_though_nobody_confirmed_its_commit(sent, commits, done):
    calls = []

    def body():
        calls.append(1)
        raise ValueError("wrong")

    engine.start(declare(body, atomic=False))
    commits(done=done)
    run = ended(sent)
    assert (run.status, run.error, len(calls)) == ("failed", "ValueError: wrong", 2)
    assert [failure["attempt"] for failure in run.step_executions.get().failures] == [1, 2]


@on_postgresql
@pytest.mark.parametrize("done", [True, False], ids=["written", "not written"])
def test_a_signal_is_delivered_once_though_the_answer_was_lost(sent, writes, done):
    run = engine.start(declare_inquiry())
    work(sent)
    engine.signal("answer", {"text": "yes"}, run=run)
    writes(done=done)
    work(sent)
    assert (reloaded(run).status, reloaded(run).data["answers"]) == ("completed", ["yes"])


@pytest.mark.parametrize("done", [True, False], ids=["committed", "not committed"])
def test_a_delivery_under_the_lock_goes_on_with_what_it_has_committed(sent, commits, monkeypatch, done):
    run = engine.start(declare_inquiry())
    work(sent)
    engine.signal("answer", {"text": "yes"}, run=run)
    monkeypatch.setattr(worker.moving, "_move_at_a_glance", lambda *_: None)
    commits(done=done)
    work(sent)
    assert (reloaded(run).status, run.step_executions.get(step_name="note").attempts) == ("completed", 1)


def by_hand(run):
    return {
        "start": lambda: engine.start("inquiry"),
        "start with a key": lambda: engine.using(idempotency_key="one").start("inquiry"),
        "start with a tag": lambda: engine.using(tags=["one"]).start("inquiry"),
        "signal": lambda: engine.signal("answer", {"text": "yes"}),
        "signal to one": lambda: engine.signal("answer", {"text": "yes"}, run=run),
        "edit": lambda: engine.edit(run, text="yes"),
        "cancel": lambda: engine.cancel(run),
        "renew a lease": lambda: heartbeat.renew((run.pk, run.sequence, run.attempt)),
        "tick": scheduler.tick,
    }


@pytest.mark.parametrize("act", by_hand(None))
def test_a_process_whose_connection_was_closed_meanwhile_does_what_it_is_asked(sent, act):
    run = engine.start(declare_inquiry())
    work(sent)
    acts = by_hand(reloaded(run))
    if connection.vendor == "mysql" and act in ("start with a key", "signal", "signal to one"):
        pytest.skip("the driver tells of a closed connection when it is asked for something")
    cut()
    acts[act]()


@pytest.mark.parametrize("act", [engine.cancel, lambda run: engine.edit(run, text="yes")])
@pytest.mark.parametrize("done", [True, False], ids=["committed", "not committed"])
def test_what_a_person_does_is_done_once_though_nobody_confirmed_its_commit(sent, commits, act, done):
    run = engine.start(declare_inquiry())
    work(sent)
    commits(done=done)
    assert act(run).updated_at == reloaded(run).updated_at


@on_postgresql
def test_a_start_that_nobody_confirmed_says_that_it_may_have_been_done(sent, monkeypatch):
    cls = declare_inquiry()
    monkeypatch.setattr(postgresql, "insert", Losing(postgresql.insert, done=True))
    with pytest.raises(CommitUnknown, match="was done or was not"):
        engine.start_many(cls, [{}])
    assert WorkflowRun.objects.count() == 1


def test_what_fails_for_another_reason_is_not_tried_again(sent):
    tries = []

    def refused():
        tries.append(1)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere")

    with pytest.raises(Exception, match="nowhere"):
        rows.despite_deadlocks(refused)
    assert len(tries) == 1


def test_in_a_transaction_of_the_caller_the_loss_is_the_callers(sent):
    run = engine.start(declare_inquiry())
    work(sent)

    def cancel():
        with transaction.atomic():
            Signal.objects.count()
            cut_unnoticed()
            engine.cancel(run)

    with pytest.raises(OperationalError):
        cancel()
    assert reloaded(run).status == "suspended"


def declare_form(body, **options):
    @workflow("cut_off_form")
    class CutOffForm:
        class Context(BaseModel):
            word: str = ""

        @statezero_action(name="cut_off")
        @step(start=True, **options)
        def begin(self, word: str):
            self.context.word = word
            body()
            return complete()

    return CutOffForm


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("done", [True, False], ids=["committed", "not committed"])
def test_a_form_is_answered_once_though_nobody_confirmed_its_commit(sent, commits, atomic, done):
    run = engine.start(declare_form(lambda: Note.objects.create(text="note"), atomic=atomic))
    commits(done=done, at=1 if atomic else 2 if connection.vendor == "mysql" else 1)
    answer = forms.submit(run.pk, forms.Post("cut_off", {"word": "yes"}), lambda moved: moved.status)
    assert (answer, reloaded(run).status, Note.objects.count()) == ("completed", "completed", 1)


def test_a_form_whose_step_failed_with_its_connection_may_be_posted_again(sent):
    def body():
        cut()
        raise ValueError("wrong")

    run = engine.start(declare_form(body, atomic=False))
    with pytest.raises(forms.FormFailed, match="wrong"):
        forms.submit(run.pk, forms.Post("cut_off", {"word": "yes"}), lambda moved: moved.status)
    assert (reloaded(run).status, reloaded(run).lease_until) == ("suspended", None)
    assert reloaded(run).failures[0]["error"] == "ValueError: wrong"


def test_a_claim_is_given_back_on_a_connection_that_works(sent):
    run = engine.start(declare(lambda: None))
    claim = lanes.take(run.pk, 1, 0)
    cut()
    stopping.give_back(claim.run, {(1, 1)}, KeyboardInterrupt())
    assert scheduler.resend_steps() == 1
