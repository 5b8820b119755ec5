"""PostgreSQL's one statement does what the portable way does in several, for every move that there is."""

from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from unittest import mock

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from pydantic import BaseModel
from rest_framework import serializers

from django_ai.automation import clock
from django_ai.automation.testing import workflow_testing
from django_ai.automation.workflows.core import (
    Retry,
    complete,
    engine,
    fail,
    goto,
    run_subflow,
    sleep,
    step,
    wait,
    wait_for_event,
    workflow,
)
from django_ai.automation.workflows.machine.statuses import MOVES
from django_ai.automation.workflows.models import PastWait, Signal, StepExecution, Suspension, WorkflowRun
from django_ai.automation.workflows.runtime import (
    attempts,
    by_hand,
    forms,
    lanes,
    postgresql,
    sql,
    texts,
    vendors,
    worker,
)
from django_ai.automation.workflows.runtime.writes import Writes
from django_ai.automation.workflows.statezero_action import statezero_action

from .declared import reloaded
from .racing import elsewhere

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

TABLES = (WorkflowRun, StepExecution, PastWait, Suspension, Signal)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Form(serializers.Serializer):
    workflow_run_id = serializers.IntegerField()
    text = serializers.CharField()


def declare():  # noqa: C901 - many small steps
    """Declare a workflow whose runs do what their ``plan`` says, one command for each step."""

    @workflow("child")
    class Child:
        class Context(BaseModel):
            plan: str = "complete"

        @step(start=True)
        def begin(self):
            return {"complete": complete, "fail": lambda: fail("no", retryable=True), "wait": lambda: wait("never")}[
                self.context.plan
            ]()

    @workflow("planned", default_retry=Retry(max_attempts=2, base_delay=timedelta(minutes=1)))
    class Planned:
        class Context(BaseModel):
            plan: list[str]
            text: str = ""
            broken: bool = False
            active_subworkflow_run_id: int | None = None

        @step(start=True)
        def act(self):
            if self.context.broken:
                raise OSError("away \0 'quoted' %s")
            kind, _, argument = self.context.plan.pop(0).partition(" ")
            self.context.text = f"{kind} \N{SNOWMAN} %(id)s"
            return getattr(self, f"do_{kind}")(argument)

        @step()
        def after(self, subflow_result):
            self.context.text = str(subflow_result.status)
            return goto(self.act)

        @statezero_action(name="planned_form", serializer=Form)
        @step()
        def form(self, text):
            self.context.text = text
            return goto(self.act, progress=0.5)

        @wait_for_event("paid", timeout=HOUR, on_timeout="act")
        @step()
        def paid(self):
            return goto(self.act)

        def do_goto(self, _):
            return goto(self.act, progress=0.25)

        def do_form(self, _):
            return goto(self.form)

        def do_event(self, _):
            return goto(self.paid)

        def do_sleep(self, minutes):
            return sleep(timedelta(minutes=int(minutes)))

        def do_wait(self, name):
            return wait(name, then="act", timeout=HOUR, on_timeout="act", display_title="Waiting")

        def do_form_after(self, name):
            return wait(name, then="form")

        def do_child(self, plan):
            return run_subflow(Child, on_complete=self.after, timeout=HOUR, on_timeout="act", plan=plan or "complete")

        def do_complete(self, _):
            return complete(text="done", display_title="Done")

        def do_fail(self, _):
            return fail("for good")

    return Planned


def start(kit, *plan, **fields):
    run = engine.start("planned", plan=[*plan, "complete"], **fields)
    kit.drain()
    return run


def signals_and_timers(kit):
    run = start(kit, "goto", "wait one", "sleep 5", "wait two", "form_after three")
    engine.signal("one", {"text": "signal"})
    kit.drain()
    kit.advance(timedelta(minutes=5))
    kit.advance(2 * HOUR)  # nobody sends "two"
    engine.signal("three", {"text": "kept"}, run=run)
    kit.drain()
    forms.submit(run.pk, forms.Post("planned_form", {"text": "posted"}), lambda run: None)
    kit.drain()


def kept_signals_and_events(kit):
    run = start(kit, "sleep 5", "wait one", "event")
    engine.signal("one", {"text": "early"}, run=run)
    engine.signal("never", {}, run=run)
    kit.advance(timedelta(minutes=5))
    kit.advance(2 * HOUR)


def children(kit):
    start(kit, "child", "child fail", "child wait")
    kit.advance(2 * HOUR)  # the last child is given up
    cancelled = start(kit, "child wait")
    engine.cancel(cancelled, "enough")
    kit.drain()


def failures(kit):
    failed = start(kit, "goto", broken=True)
    kit.advance(HOUR)
    engine.cancel(start(kit, "sleep 5"), "enough")
    start(kit, "fail")
    by_hand.edit(failed.pk, {"broken": False})
    engine.retry(failed)
    kit.drain()
    retried = start(kit, "wait one", "fail")
    engine.cancel(engine.start("planned", plan=[]))
    engine.signal("one", run=retried)
    kit.drain()
    engine.retry(retried, force=True)
    kit.drain()


PROGRAMS = (signals_and_timers, kept_signals_and_events, children, failures)


def contents():
    """Return all rows of the engine, column by column."""
    return {
        model.__name__: [
            {field.attname: getattr(row, field.attname) for field in model._meta.concrete_fields}
            for row in model.objects.order_by("pk")
        ]
        for model in TABLES
    }


def rows_after(program, ways, moves):
    with connection.cursor() as cursor:
        names = ", ".join(connection.ops.quote_name(model._meta.db_table) for model in TABLES)
        cursor.execute(f"TRUNCATE {names} RESTART IDENTITY CASCADE")
    decide = attempts.decide

    def noted(definition, state, happening, now):
        moves.add((state.status, type(happening)))
        return decide(definition, state, happening, now)

    with time_machine.travel(NOON, tick=False), mock.patch.dict(vendors.WAYS, ways, clear=True), ExitStack() as stack:
        for name in ("attempts", "moving", "inbox", "engine", "by_hand", "forms"):
            stack.enter_context(mock.patch(f"django_ai.automation.workflows.runtime.{name}.decide", noted))
        program(stack.enter_context(workflow_testing()))
    return contents()


@pytest.mark.parametrize("steps", [1, 100])
def test_both_ways_leave_the_same_rows_after_every_kind_of_move(settings, steps):
    settings.DJANGO_AI = {"STEPS_PER_TASK": steps}
    declare()
    moves = set()
    for program in PROGRAMS:
        portable = rows_after(program, {}, set())
        assert portable["WorkflowRun"]
        assert rows_after(program, {"postgresql": postgresql}, moves) == portable
    assert moves == {move for move in MOVES if move[0]}


@pytest.mark.parametrize("ways", [{}, {"postgresql": postgresql}])
def test_a_run_that_is_elsewhere_is_left_alone(ways, sent):
    declare()
    run = engine.start("planned", plan=["goto", "complete"])
    with mock.patch.dict(vendors.WAYS, ways, clear=True):
        claim = lanes.take(run.pk, 1, 0)
        assert lanes.take(run.pk, 1, 0) is None
        assert lanes.take(run.pk, 1, 1) is None
        engine.cancel(run)
        before = contents()
        lanes.go_on(claim, worker.Turn(queue=None))
        assert contents() == before


def run_step(body, around=nullcontext()):  # noqa: B008 - it has no state
    """Run a workflow of one step; return the run, and how its transaction stood when the step returned."""
    states = []

    @workflow("one")
    class One:
        @step(start=True)
        def only(self):
            body()
            states.append(connection.connection.info.transaction_status.name)
            return complete()

    run = engine.start(One)
    claim = lanes.take(run.pk, 1, 0)
    with around:
        lanes.go_on(claim, worker.Turn(queue=None))
    return run, states


def test_a_step_that_sends_no_query_has_its_move_as_a_transaction_of_its_own(sent):
    run, states = run_step(lambda: None, mock.patch.object(connections[DEFAULT_DB_ALIAS], "_commit"))
    assert states == ["IDLE"]
    assert elsewhere(lambda: reloaded(run).status) == "completed"  # though no COMMIT was sent


def test_a_step_that_writes_has_its_move_in_the_same_transaction(sent):
    def write():
        Group.objects.create(name="written")

    run, states = run_step(write)
    assert (reloaded(run).status, states) == ("completed", ["INTRANS"])


def test_a_move_that_fails_in_a_transaction_of_its_own_moves_nothing(sent):
    run = engine.start(declare(), plan=["goto", "complete"])
    # Its visit is in the history already, so its row of history is refused, and all else with it.
    StepExecution.objects.create(
        run=run, sequence=1, step_name="act", status="completed", started_at=NOON, created_at=NOON
    )
    lanes.go_on(lanes.take(run.pk, 1, 0), worker.Turn(queue=None))
    row = reloaded(run)
    assert (row.status, row.sequence, row.attempt, row.data) == ("suspended", 1, 1, run.data)
    assert "IntegrityError" in row.error
    assert connection.connection.autocommit


def test_inside_of_a_callers_transaction_a_move_waits_for_its_commit(sent):
    run = engine.start(declare(), plan=["goto", "complete"])
    with transaction.atomic():
        claim = lanes.take(run.pk, 1, 0)
        lanes.go_on(claim, worker.Turn(queue=None))
        assert reloaded(run).status == "completed"
        transaction.set_rollback(True)
    assert (reloaded(run).sequence, StepExecution.objects.count()) == (1, 0)


@pytest.mark.parametrize("nested", [nullcontext, partial(transaction.atomic, savepoint=False)])
def test_a_move_in_a_callers_transaction_waits_for_the_commit(sent, nested):
    run = engine.start(declare(), plan=["complete"])
    with transaction.atomic(), nested():
        with postgresql.transaction(alone=True):
            assert postgresql.write(Writes(run=run, fence={"sequence": run.sequence}, columns={"progress": 0.5}))
        transaction.set_rollback(True)
    assert reloaded(run).progress == 0


def test_a_step_that_only_leaves_something_to_its_commit_has_it_done_after_the_move(sent):
    seen = []

    @workflow("leaving")
    class Leaving:
        @step(start=True)
        def act(self):
            transaction.on_commit(lambda: seen.append(reloaded(run).status))
            return complete()

    run = engine.start(Leaving)
    worker.execute(run.pk, run.sequence, run.attempt)
    assert seen == ["completed"]


@pytest.mark.parametrize("threshold", [None, 5])
def test_statements_are_prepared_where_the_project_allows_it(sent, threshold):
    declare()
    connection.close()
    connection.ensure_connection()
    connection.connection.prepare_threshold = threshold  # as an option of DATABASES sets it
    run = engine.start("planned", plan=["goto"])
    with CaptureQueriesContext(connection) as queries:
        worker.execute(run.pk, run.sequence, run.attempt)
    assert all(query["sql"] for query in queries)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        assert cursor.fetchone() == (0 if threshold is None else 4,)  # start, claim, move and end
    connection.close()


def test_what_others_make_of_a_statement_is_not_prepared(sent):
    def remark(execute, sql, params, many, context):
        execute(f"SET application_name = 'remarked'; {sql}", params, many, context)
        context["cursor"].nextset()  # on to what the statement itself gave

    run = engine.start(declare(), plan=["wait signal"])
    worker.execute(run.pk, run.sequence, run.attempt)
    connection.close()
    connection.ensure_connection()
    connection.connection.prepare_threshold = 5
    with connection.execute_wrapper(remark):
        assert engine.signal("signal", run=run) == 1
        with pytest.raises(WorkflowRun.DoesNotExist):
            engine.signal("signal", run=0)
    connection.close()


def test_a_connection_that_was_lost_is_found_out_where_the_project_has_it_checked(sent):
    run = engine.start(declare(), plan=["wait signal"])
    worker.execute(run.pk, run.sequence, run.attempt)
    number = connection.connection.info.backend_pid
    elsewhere(lambda: connection.cursor().execute("SELECT pg_terminate_backend(%s, 5000)", [number]))
    with mock.patch.dict(connection.settings_dict, {"CONN_HEALTH_CHECKS": True}):
        connection.close_if_unusable_or_obsolete()  # as at the beginning of a request
        connection.health_check_enabled = True
        connection.health_check_done = False
        assert engine.signal("signal", run=run) == 1


def test_a_statement_that_is_broken_off_leaves_a_connection_that_works(sent):
    def break_off():
        with postgresql.transaction(alone=True):
            connection.connection.pgconn.send_query(b"SELECT 1")  # and nobody takes the answer
            raise SystemExit

    with pytest.raises(SystemExit):
        break_off()
    assert not WorkflowRun.objects.exists()


@pytest.mark.parametrize("known", [False, True], ids=["never analysed", "analysed while nothing was pending"])
def test_a_delivery_reads_nothing_of_what_is_pending_for_others(known):
    signals = [Signal(run_id=run, kind="signal", created_at=NOON) for run in range(10**6, 10**6 + 3000)]
    with transaction.atomic(), connection.cursor() as cursor:
        if known:
            done = [Signal(run_id=run, kind="signal", created_at=NOON, state="delivered") for run in range(20_000)]
            Signal.objects.bulk_create(done)
            cursor.execute(f"ANALYZE {Signal._meta.db_table}")
        Signal.objects.bulk_create(signals)
        values = {"ids": [10**6], "id": 10**6, "run_id": 10**6, "status": "suspended", "state": "pending"}
        now, _ = clock.sql()
        for text in (texts.glances(now, several=False), texts.glances(now, several=True), texts.pending()):
            for plan in ("force_custom_plan", "force_generic_plan"):
                cursor.execute("SELECT set_config('plan_cache_mode', %s, true)", [plan])
                shown = "\n".join(explained(cursor, text, {**values, "pending": "pending"}))
                assert "workflow_signal_inbox" in shown
                assert "workflow_signal_dispatched" not in shown


def explained(cursor, text, values):
    """Return the plan of a statement that was prepared, as the engine's are."""
    prepared, names = sql.numbered(text)
    cursor.execute("DEALLOCATE ALL")
    cursor.execute(f"PREPARE explained AS {prepared.replace('%', '%%')}")
    marks = ", ".join(["%s"] * len(names))
    cursor.execute(f"EXPLAIN EXECUTE explained ({marks})", [values[name] for name in names])
    return [line for (line,) in cursor.fetchall()]
