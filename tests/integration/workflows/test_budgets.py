"""What each operation costs the database: statements sent, and transactions that commit."""

from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import DEFAULT_DB_ALIAS, connection
from django.test.utils import CaptureQueriesContext
from pydantic import BaseModel

from django_ai.automation import clock
from django_ai.automation.workflows.core import complete, engine, goto, run_subflow, sleep, step, wait, workflow
from django_ai.automation.workflows.models import Suspension, WorkflowRun
from django_ai.automation.workflows.runtime import scheduler, worker

from .declared import reloaded

pytestmark = pytest.mark.django_db(transaction=True)

BRACKETS = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")
WRITES = ("INSERT", "UPDATE", "DELETE", "WITH")


def declare():
    """Declare a workflow that takes the way its context names."""

    @workflow("child")
    class Child:
        @step(start=True)
        def begin(self):
            return complete()

    @workflow("costly")
    class Costly:
        class Context(BaseModel):
            way: str
            left: int = 0

        @step(start=True)
        def begin(self):
            return WAYS[self.context.way](self)

        @step()
        def more(self):
            self.context.left -= 1
            return goto(self.more) if self.context.left > 0 else complete()

        @step()
        def after(self, subflow_result):
            return complete()

    ways = {
        "complete": lambda self: complete(),
        "steps": lambda self: goto(self.more),
        "wait": lambda self: wait("answer", then="more"),
        "fields": lambda self: wait("answer", then="more", fields=["left"]),
        "fresh": lambda self: wait("answer", then="more", fresh=True),
        "sleep": lambda self: sleep(timedelta(hours=1), then="more"),
        "child": lambda self: run_subflow(Child, on_complete="after"),
    }
    WAYS.update(ways)
    return Costly


WAYS = {}


@contextmanager
def cost():
    """Yield a list that has the statements and the commits when the block has ended."""
    found = []
    clock.recent(DEFAULT_DB_ALIAS)  # asked for every ten seconds, whatever happens
    with CaptureQueriesContext(connection) as queries:
        yield found
    words = [query["sql"].split()[0].rstrip(";") for query in queries]
    found.extend((len([word for word in words if word not in BRACKETS]), _commits(words)))


def _commits(words):
    """Count the transactions that reach the database: one of which nothing was sent does not."""
    commits, inside, sent = 0, False, False
    for word in words:
        if word == "BEGIN":
            inside, sent = True, connection.vendor != "postgresql"
        elif word == "COMMIT":
            inside, commits = False, commits + sent
        elif inside:
            sent = True
        else:
            commits += word in WRITES
    return commits


def started(way, **context):
    return engine.start(declare(), way=way, **context)


def execute(run):
    worker.execute(run.pk, run.sequence, run.attempt)


def executed(run):
    execute(run)
    return reloaded(run)


def start():
    declare()
    engine.start("costly", way="complete")  # the clock and the statements' texts are known from then on
    return lambda: engine.start("costly", way="complete")


def first_step():
    run = started("complete")
    return lambda: execute(run)


def eleven_steps():
    run = started("steps", left=10)
    return lambda: execute(run)


def signal_that_wakes():
    run = executed(started("wait"))
    engine.signal("answer", run=run)
    return lambda: worker.deliver(run.pk)


def signal_sent():
    run = executed(started("wait"))
    return lambda: engine.signal("answer", run=run)


def timer():
    run = executed(started("sleep"))
    Suspension.objects.update(due_at=run.created_at)
    return lambda: worker.wake(run.pk, run.sequence)


def child_round_trip():
    run = started("child")
    return lambda: execute(run)


# The operation, and on PostgreSQL and elsewhere at most how many statements and commits it takes.
BUDGETS = {
    start: ((1, 1), (1, 1)),
    # A claim, and for each step its move together with its row of history.
    first_step: ((2, 2), (4, 2)),
    eleven_steps: ((12, 12), (24, 12)),
    signal_sent: ((2, 1), (2, 1)),
    # A glance at the run, its wait and its first message; the move; the step that follows.
    signal_that_wakes: ((3, 2), (8, 2)),
    timer: ((3, 2), (8, 2)),
    # A claim, the parent's step with the child's row, the child's step, the delivery, the parent's next step.
    child_round_trip: ((7, 5), (17, 5)),
}


@pytest.mark.parametrize("operation", BUDGETS)
def test_an_operation_keeps_to_its_budget(operation, sent):
    prepared = operation()
    with cost() as found:
        prepared()
    statements, commits = BUDGETS[operation][0 if connection.vendor == "postgresql" else 1]
    assert found[0] <= statements
    assert found[1] <= commits


@pytest.mark.parametrize("count", [1, 40])
def test_a_tick_costs_the_same_however_much_there_is_to_do(count, sent):
    runs = engine.start_many(declare(), [{"way": "sleep"}] * count)
    engine.start_many("costly", [{"way": "complete"}] * count)
    for run in runs:
        worker.execute(run.pk, 1, 0)
    early = runs[0].created_at - timedelta(days=1)
    Suspension.objects.update(due_at=early)
    WorkflowRun.objects.update(dispatched_at=early, updated_at=early)
    with cost() as found:
        tick = scheduler.tick()
    assert (tick.woken, tick.resent) == (count, count)
    assert found[0] <= 9


@pytest.mark.parametrize("count", [1, 40])
def test_a_signal_to_many_costs_the_same_however_many_wait(count, sent):
    for run in engine.start_many(declare(), [{"way": "wait"}] * count):
        worker.execute(run.pk, 1, 0)
    with cost() as found:
        assert engine.signal("answer") == count
    assert found[0] <= 2


@pytest.mark.parametrize("count", [1, 40])
def test_a_key_costs_two_statements_however_many_runs_have_it(count, sent):
    for run in engine.start_many(declare(), [{"way": "wait"}] * count):
        worker.execute(run.pk, 1, 0)
    for taken in (count, 0):
        with cost() as found:
            assert engine.signal("answer", key="click") == taken
        assert found[0] <= 4


@pytest.mark.parametrize("way", ["fields", "fresh"])
def test_a_wait_that_says_what_it_takes_costs_no_more_than_one_that_does_not(way, sent):
    run = executed(started(way))
    with cost() as sending:
        engine.signal("answer", {"left": 0}, run=run)
    with cost() as delivering:
        worker.deliver(run.pk)
    for found, operation in ((sending, signal_sent), (delivering, signal_that_wakes)):
        statements, commits = BUDGETS[operation][0 if connection.vendor == "postgresql" else 1]
        assert found[0] <= statements
        assert found[1] <= commits


@pytest.mark.postgres
def test_the_updates_of_a_runs_row_touch_no_index(sent):
    runs = engine.start_many(declare(), [{"way": "steps", "left": 20}] * 20)
    with connection.cursor() as cursor:
        table = WorkflowRun._meta.db_table
        before = updates_of(cursor, table)
        for run in runs:
            worker.execute(run.pk, 1, 0)
        after = updates_of(cursor, table)
    total, in_place = (now - then for now, then in zip(after, before, strict=True))
    # A claim, 21 steps. The end changes the status, which is indexed, and now and then a page is full.
    assert total == len(runs) * 22
    assert in_place >= total * 0.8


def updates_of(cursor, table):
    cursor.execute("SELECT pg_stat_force_next_flush()")
    cursor.execute("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = %s", [table])
    return cursor.fetchone()
