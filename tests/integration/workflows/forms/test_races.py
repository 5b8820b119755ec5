"""Of everything that happens to a form at the same moment, exactly one wins."""

import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import OperationalError, connection, connections
from django.utils import timezone
from pydantic import BaseModel
from rest_framework.test import APIClient

from django_ai.automation import broker
from django_ai.automation.workflows.core import complete, engine, step, wait, workflow
from django_ai.automation.workflows.models import StepExecution, WorkflowRun
from django_ai.automation.workflows.runtime import forms as submitting
from django_ai.automation.workflows.runtime import heartbeat, rows, scheduler, worker
from django_ai.automation.workflows.statezero_action import statezero_action

pytestmark = pytest.mark.django_db(transaction=True)

several_writers = pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")


@pytest.fixture(autouse=True)
def no_broker(monkeypatch):
    monkeypatch.setattr(broker, "publisher", lambda *args, **options: None)


# A database server has a hundred connections by default, and others use it too: so many posts are in
# the database at the same moment, the rest queue for a connection as they do behind any pool.
CONNECTIONS = threading.BoundedSemaphore(20)


class Gate:
    """Where posts meet that have all found the form open, and none of which has claimed it yet.

    Each gives its connection back while it waits for the others, so a hundred are as simultaneous as
    posts can be, with twenty connections.
    """

    def __init__(self, parties):
        self._barrier = threading.Barrier(parties)
        self._open_step = submitting._open_step
        self._passed = threading.local()

    def open_step(self, *arguments):
        """Take the place of the function that finds the form open."""
        found = self._open_step(*arguments)
        if not hasattr(self._passed, "here"):
            self._passed.here = True
            connections.close_all()
            CONNECTIONS.release()
            self._barrier.wait(60)
            CONNECTIONS.acquire()
        return found


@pytest.fixture
def gate_for_a_hundred(monkeypatch):
    monkeypatch.setattr(submitting, "_open_step", Gate(100).open_step)


def at_once(*calls):
    """Call all in threads of their own that start together; return what they gave, or raised."""
    barrier = threading.Barrier(len(calls))
    results = [None] * len(calls)

    def run(index, call):
        barrier.wait()
        with CONNECTIONS:
            try:
                results[index] = call()
            except Exception as error:  # noqa: BLE001
                results[index] = error
            finally:
                connections.close_all()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def post(run, action="race", base="/forms/", **data):
    body = {"workflow_run_id": run.pk, **data}
    return APIClient().post(f"{base}actions/{action}/", body, format="json")


@pytest.fixture
def bodies():
    """How often the code of the form below has run."""
    return []


@pytest.fixture
def race(bodies):
    @workflow("race")
    class Race:
        class Context(BaseModel):
            number: int = 0

        @statezero_action(name="race")
        @step(start=True)
        def ask(self, number: int):
            bodies.append(number)
            self.context.number = number
            return wait.for_signal("go", timeout=timedelta(days=1))

    return engine.start(Race)


@pytest.fixture
def paused(bodies):
    """A form whose code stands still until the test lets it go on."""
    started, go_on = threading.Event(), threading.Event()

    @workflow("paused")
    class Paused:
        @statezero_action(name="race")
        @step(start=True)
        def ask(self):
            bodies.append(1)
            started.set()
            assert go_on.wait(30)
            return complete()

    run = engine.start(Paused)
    run.started, run.go_on = started, go_on
    return run


@several_writers
@pytest.mark.usefixtures("gate_for_a_hundred")
def test_of_a_hundred_simultaneous_posts_one_wins_and_ninety_nine_hear_of_it(race, bodies, base):
    answers = at_once(*[lambda n=n: post(race, base=base, number=n) for n in range(100)])
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 99}
    assert len(bodies) == 1
    assert StepExecution.objects.filter(run=race).count() == 0, "a step that suspends leaves no history"
    race.refresh_from_db()
    assert (race.data, race.sequence) == ({"number": bodies[0]}, 2)


@several_writers
@pytest.mark.usefixtures("gate_for_a_hundred")
def test_a_hundred_simultaneous_posts_leave_one_row_of_history(bodies, base):
    @workflow("once")
    class Once:
        @statezero_action(name="once")
        @step(start=True)
        def ask(self, number: int):
            bodies.append(number)
            return complete()

    run = engine.start(Once)
    answers = at_once(*[lambda n=n: post(run, "once", base, number=n) for n in range(100)])
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 99}
    assert len(bodies) == 1
    assert StepExecution.objects.filter(run=run).count() == 1


def hold(run):
    """Post the form in a thread and return when its code has started, with what gives the answer."""
    answers = []

    def send():
        answers.append(post(run))
        connections.close_all()

    thread = threading.Thread(target=send)
    thread.start()
    assert run.started.wait(30)

    def finish():
        run.go_on.set()
        thread.join()
        return answers[0]

    return finish


def test_while_a_form_is_being_done_a_second_post_is_told_so_without_waiting(paused, bodies):
    finish = hold(paused)
    second = post(paused)
    assert second.status_code == 409
    assert "right now" in second.json()["detail"]
    assert finish().status_code == 200
    assert len(bodies) == 1


@several_writers
def test_a_run_cancelled_while_its_form_is_being_done_stays_cancelled(paused):
    finish = hold(paused)
    engine.cancel(paused)
    answer = finish()
    assert (answer.status_code, "is cancelled" in answer.json()["detail"]) == (409, True)
    paused.refresh_from_db()
    assert paused.status == "cancelled"
    assert not paused.step_executions.exists()


def test_a_process_that_dies_with_a_form_does_not_close_it_for_good(race, bodies):
    dead = timezone.now() - timedelta(seconds=1)
    WorkflowRun.objects.filter(pk=race.pk).update(attempt=1, lease_until=dead)
    assert post(race, number=7).status_code == 200
    assert bodies == [7]


@several_writers
def test_a_post_whose_lease_ran_out_loses_to_the_one_that_came_after(paused, monkeypatch):
    monkeypatch.setattr(heartbeat, "renew", lambda fence: None)
    finish = hold(paused)
    WorkflowRun.objects.filter(pk=paused.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    paused.started.clear()
    finish_late = hold(paused)
    assert sorted(answer.status_code for answer in (finish(), finish_late())) == [200, 409]
    assert StepExecution.objects.filter(run=paused).count() == 1


@several_writers
def test_a_post_whose_lease_ran_out_loses_also_to_an_edit_after_another_that_failed(monkeypatch):
    monkeypatch.setattr(heartbeat, "renew", lambda fence: None)
    started, go_on, failing = threading.Event(), threading.Event(), threading.Event()

    @workflow("edited")
    class Edited:
        class Context(BaseModel):
            text: str = "old"

        @statezero_action(name="race")
        @step(start=True)
        def ask(self):
            if failing.is_set():
                raise ValidationError("not like that")
            started.set()
            assert go_on.wait(30)
            return wait("go")

    run = engine.start(Edited)
    run.started, run.go_on = started, go_on
    finish = hold(run)
    WorkflowRun.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    failing.set()
    assert post(run).status_code == 400
    engine.edit(run, text="new")
    assert finish().status_code == 409
    run.refresh_from_db()
    assert (run.status, run.data) == ("suspended", {"text": "new"})


@pytest.mark.parametrize("turn", range(10))
def test_posts_cancellations_signals_and_the_scheduler_at_once_move_a_run_along_one_path(race, bodies, turn):
    answers = at_once(
        *[lambda n=n: post(race, number=n) for n in range(6)],
        lambda: engine.cancel(race),
        lambda: engine.signal("go", run=race),
        lambda: worker.deliver(race.pk),
        scheduler.tick,
    )[:6]
    race.refresh_from_db()
    accepted = [answer for answer in answers if answer.status_code == 200]
    assert len(accepted) <= 1
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert race.status in ("cancelled", "completed")
    assert race.data["number"] == (bodies[0] if accepted else 0)


@several_writers
@pytest.mark.parametrize("turn", range(10))
def test_a_post_and_the_end_of_its_forms_time_at_once_move_a_run_once(bodies, turn):
    @workflow("timed")
    class Timed:
        @statezero_action(name="race", timeout=60, on_timeout="give_up")
        @step(start=True)
        def ask(self):
            bodies.append(1)
            return complete(display_title="in time")

        @step()
        def give_up(self):
            return complete(display_title="too late")

    run = engine.start(Timed)
    run.suspension.due_at = run.suspension.created_at
    run.suspension.save()
    posted, *_ = at_once(lambda: post(run), *[scheduler.tick] * 3)
    run.refresh_from_db()
    in_time = (posted.status_code, len(bodies), run.status) == (200, 1, "completed")
    too_late = (posted.status_code, bodies, run.status, run.current_step) == (409, [], "running", "give_up")
    assert in_time or too_late
    assert run.sequence == 2


@pytest.fixture
def victim(monkeypatch):
    """Let the database end as many transactions that move a run, for the sake of others."""

    def begin(times):
        left, commit = [times], submitting.commit.commit

        def interrupted(*arguments, **options):
            moved = commit(*arguments, **options)
            if left[0]:
                left[0] -= 1
                raise OperationalError(1213, "Deadlock found when trying to get lock")
            return moved

        monkeypatch.setattr(submitting.commit, "commit", interrupted)

    return begin


@pytest.mark.parametrize(("atomic", "calls"), [(True, 2), (False, 1)])
def test_a_form_whose_transaction_was_the_victim_of_a_deadlock_is_accepted_all_the_same(victim, bodies, atomic, calls):
    @workflow("once")
    class Once:
        class Context(BaseModel):
            numbers: list[int] = []

        @statezero_action(name="race")
        @step(start=True, atomic=atomic)
        def ask(self, number: int):
            bodies.append(number)
            self.context.numbers.append(number)
            return complete()

    run = engine.start(Once)
    victim(1)
    assert post(run, number=7).status_code == 200
    assert len(bodies) == calls, "what is not in the transaction is not done again"
    run.refresh_from_db()
    assert (run.status, run.sequence, run.data) == ("completed", 2, {"numbers": [7]})
    assert StepExecution.objects.filter(run=run).count() == 1


def test_a_form_that_the_database_refuses_again_and_again_goes_on_waiting(victim, race):
    victim(rows.MOST_TRIES)
    assert post(race, number=7).status_code == 500
    race.refresh_from_db()
    assert (race.status, race.data, race.lease_until) == ("suspended", {"number": 0}, None)
    assert post(race, number=8).status_code == 200
