"""A retry repeats what crashed; what a workflow decided is repeated by force alone."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from pydantic import BaseModel

from django_ai.automation.workflows.authoring.registry import registry
from django_ai.automation.workflows.core import (
    Retry,
    complete,
    engine,
    fail,
    goto,
    run_subflow,
    step,
    wait,
    workflow,
)
from django_ai.automation.workflows.exceptions import IllegalMove, SignalRejected
from django_ai.automation.workflows.models import StepExecution, WorkflowRun
from django_ai.automation.workflows.runtime import worker
from django_ai.automation.workflows.statezero_action import statezero_action

from .declared import declare_inquiry, reloaded

ONCE = Retry(max_attempts=1)


@pytest.fixture
def payment():
    """A workflow that crashes, gives up by fail(), or completes, as its list of ends says."""

    @workflow("payment", default_retry=ONCE)
    class Payment:
        class Context(BaseModel):
            ends: list[str] = []
            paid: int = 0

        @step(start=True)
        def pay(self):
            self.context.paid += 1
            how = self.context.ends.pop(0) if self.context.ends else "completes"
            if how == "crashes":
                raise OSError("bank away")
            return complete() if how == "completes" else fail(how, retryable=how == "try later", display_title="No")

    return Payment


@pytest.fixture
def order(payment):
    """A workflow that hires a payment, and does afterwards what its context says."""

    @workflow("order", default_retry=ONCE)
    class Order:
        class Context(BaseModel):
            ends: list[str] = ["crashes"]
            then: str = "compensates"

        @step(start=True)
        def begin(self):
            return run_subflow("payment", on_complete=self.after, ends=self.context.ends)

        @step()
        def after(self, subflow_result):
            match self.context.then:
                case "asks again":
                    self.context.then = "compensates"
                    return run_subflow("payment", on_complete=self.after, ends=["crashes"])
                case "waits":
                    return wait("never")
                case "crashes":
                    raise OSError("no compensation")
                case "gives up":
                    return fail(subflow_result.error)
            return complete()

    return Order


@pytest.fixture
def ended(workflows):
    def ended(cls, **context):
        run = engine.start(cls, **context)
        workflows.drain()
        return reloaded(run)

    return ended


@pytest.fixture
def waiting(order, workflows, settings):
    """A parent that has not yet taken its child's failure, and the child."""
    settings.DJANGO_AI = {"STEPS_PER_TASK": 1}  # else one task goes on with both
    definition = registry.find("order")
    run = engine.start(order)
    worker.execute(run.pk, run.sequence, run.attempt)
    registry.remove(definition)  # by which no worker can hand the end to the parent
    workflows.drain()
    registry.register(definition)
    child = run.child_runs.get()
    assert (reloaded(run).status, child.status) == ("suspended", "failed")
    return reloaded(run), child


def refuses(run, *words):
    before = WorkflowRun.objects.values().get(pk=run.pk)
    with pytest.raises(IllegalMove) as refused:
        engine.retry(run)
    assert WorkflowRun.objects.values().get(pk=run.pk) == before
    for word in (*words, "engine.retry(run, force=True)"):
        assert word in str(refused.value)


def mend(run):
    """Let a payment that has crashed complete."""
    engine.edit(run, ends=[])


def by_older_code(run):
    """Leave of a failed run what code kept that did not know how runs fail."""
    WorkflowRun.objects.filter(pk=run.pk).update(failure_kind=None, retryable=None, completion_display={})
    return reloaded(run)


# How a run failed.


def test_a_run_keeps_how_it_failed_until_it_goes_on(payment, ended, workflows):
    run = ended(payment, ends=["refused", "crashes"])
    assert (run.failure_kind, run.retryable, run.error) == ("fail", False, "refused")
    assert run.current_step_display["completion_display"]["display_title"] == "No"
    run.retry(force=True)
    assert (run.status, run.failure_kind, run.retryable, run.completion_display) == ("running", None, None, {})
    workflows.drain()
    run = reloaded(run)
    assert (run.failure_kind, run.retryable, run.current_step_display["completion_display"]) == ("exception", True, {})
    mend(run)
    run.retry()
    workflows.drain()
    assert (reloaded(run).status, reloaded(run).failure_kind, reloaded(run).retryable) == ("completed", None, None)


def test_a_wait_that_timed_out_is_a_kind_of_its_own(ended, workflows):
    run = ended(declare_inquiry(timeout=timedelta(hours=1)))
    workflows.advance(timedelta(hours=1))
    assert (reloaded(run).failure_kind, reloaded(run).retryable) == ("timeout", True)


@pytest.mark.parametrize(("says", "is_retryable"), [("refused", False), ("try later", True)])
def test_fail_says_whether_a_retry_may_repeat_it(payment, ended, workflows, says, is_retryable):
    run = ended(payment, ends=[says])
    if is_retryable:
        engine.retry(run)
        workflows.drain()
        assert (reloaded(run).status, reloaded(run).data["paid"]) == ("completed", 2)
    else:
        refuses(run, "fail()", "'pay'")


def test_force_repeats_the_step_with_what_it_had_written(payment, ended, workflows):
    run = ended(payment, ends=["refused"])
    engine.retry(run, force=True)
    workflows.drain()
    assert (reloaded(run).status, reloaded(run).data["paid"]) == ("completed", 2)


@pytest.mark.parametrize("status", ["running", "suspended", "completed", "cancelled"])
def test_force_retries_no_run_that_has_not_failed(payment, ended, status):
    run = ended(payment)
    WorkflowRun.objects.update(status=status)
    with pytest.raises(IllegalMove, match=status):
        engine.retry(run, force=True)


def test_a_form_whose_step_returned_fail_is_asked_for_again_by_force_alone(forms_of_nobody, workflows):
    run = forms_of_nobody
    refuses(run, "fail()")
    engine.retry(run, force=True)
    assert reloaded(run).waits_for.kind == "form"


@pytest.fixture
def forms_of_nobody(workflows):
    """A run that ended by fail() in the step of a form."""
    from rest_framework.test import APIClient

    @workflow("asks_days")
    class AsksDays:
        @statezero_action(name="ask_days")
        @step(start=True)
        def ask(self, days: int):
            return fail("too many")

    run = engine.start(AsksDays)
    workflows.drain()
    APIClient().post("/statezero/actions/ask_days/", {"workflow_run_id": run.pk, "days": 9}, format="json")
    run = reloaded(run)
    assert (run.status, run.failure_kind) == ("failed", "fail")
    return run


# A wait that timed out.


@pytest.fixture
def reserving():
    """Returns a workflow that reserves something, and then waits an hour with the wait that is given."""

    def declare(**wait_options):
        @workflow("reserving", default_retry=ONCE)
        class Reserving:
            class Context(BaseModel):
                order_id: int = 7
                reserved: int = 0
                approved: bool = False

            @step(start=True)
            def reserve(self):
                self.context.reserved += 1
                return wait.for_signal(
                    "decision", timeout=timedelta(hours=1), then=self.end, display_title="Hold on", **wait_options
                )

            @step()
            def end(self):
                return complete()

        return Reserving

    return declare


def timed_out(workflows, cls):
    run = engine.start(cls)
    workflows.advance(timedelta(hours=1))
    assert (reloaded(run).failure_kind, reloaded(run).data["reserved"]) == ("timeout", 1)
    return run


def test_a_wait_that_timed_out_begins_again_without_the_body_that_made_it(reserving, workflows):
    run = timed_out(workflows, reserving(correlate="{order_id}", fields=["approved"]))
    engine.retry(run)
    workflows.drain()
    wait_now = reloaded(run).waits_for
    assert (wait_now.name, wait_now.correlation, wait_now.display) == ("decision", "7", {"display_title": "Hold on"})
    assert wait_now.due_at - wait_now.created_at == timedelta(hours=1)
    assert reloaded(run).data["reserved"] == 1
    with pytest.raises(SignalRejected):
        engine.signal("decision", {"approve": True}, run=run)
    engine.signal("decision", {"approved": True}, correlate="7")
    workflows.drain()
    assert (reloaded(run).status, reloaded(run).data["reserved"]) == ("completed", 1)


def test_a_wait_may_time_out_and_begin_again_more_than_once(reserving, workflows):
    run = timed_out(workflows, reserving())
    for _ in range(2):
        engine.retry(run)
        workflows.advance(timedelta(hours=1))
        assert reloaded(run).failure_kind == "timeout"
    engine.retry(run)
    engine.signal("decision", {"approved": True}, run=run)
    workflows.drain()
    assert (reloaded(run).status, reloaded(run).data) == (
        "completed",
        {"order_id": 7, "reserved": 1, "approved": True},
    )


def test_a_child_that_timed_out_starts_anew_with_its_step(workflows):
    declare_inquiry()

    @workflow("impatient", default_retry=ONCE)
    class Impatient:
        @step(start=True)
        def begin(self):
            return run_subflow("inquiry", on_complete=self.end, timeout=timedelta(hours=1))

        @step()
        def end(self):
            return complete()

    run = engine.start(Impatient)
    workflows.advance(timedelta(hours=1))
    engine.retry(run)
    workflows.drain()
    assert list(run.child_runs.order_by("pk").values_list("status", flat=True)) == ["cancelled", "suspended"]


# Children.


@pytest.mark.parametrize("then", ["compensates", "waits", "crashes", "gives up", "asks again"])
def test_a_child_whose_parent_has_acted_on_its_failure_is_refused(order, ended, workflows, then):
    parent = ended(order, then=then)
    child = parent.child_runs.order_by("pk").first()
    refuses(child, "parent", "no longer waits")
    mend(child)
    engine.retry(child, force=True)
    before = reloaded(parent).sequence
    workflows.drain()
    assert (reloaded(child).status, reloaded(parent).sequence) == ("completed", before)


def test_a_child_of_a_parent_that_is_retried_and_ends_again_is_refused(order, ended, workflows):
    parent = ended(order, then="crashes")
    engine.edit(parent, then="compensates")
    engine.retry(parent)
    workflows.drain()
    assert reloaded(parent).status == "completed"
    refuses(parent.child_runs.get(), "parent")


def test_a_child_of_a_cancelled_parent_is_refused(order, ended, workflows):
    parent = ended(order, then="waits")
    engine.cancel(parent)
    workflows.drain()
    refuses(parent.child_runs.get(), "parent")


def test_a_grandchild_is_refused_when_its_own_parent_no_longer_waits(order, ended, workflows):
    @workflow("top")
    class Top:
        @step(start=True)
        def begin(self):
            return run_subflow("order", on_complete=self.end, then="gives up")

        @step()
        def end(self):
            return complete()

    top = ended(Top)
    middle = top.child_runs.get()
    refuses(middle, "fail()")
    refuses(middle.child_runs.get(), "parent")


def test_a_child_that_ended_by_fail_is_refused_even_while_its_parent_waits(waiting):
    _, child = waiting
    WorkflowRun.objects.filter(pk=child.pk).update(failure_kind="fail", retryable=False)
    refuses(child, "fail()")


def test_a_child_is_retried_while_its_parent_still_waits_and_the_parent_learns_the_last_end_alone(waiting, workflows):
    parent, child = waiting
    mend(child)
    engine.retry(child)
    workflows.drain()
    assert (reloaded(child).status, reloaded(parent).status) == ("completed", "completed")
    told = parent.signals.filter(kind="child").order_by("pk")
    assert list(told.values_list("state", "error")) == [("missed", "The child was retried."), ("delivered", "")]
    assert told.last().payload["status"] == "completed"


def test_a_refused_retry_withdraws_nothing(waiting, workflows):
    parent, child = waiting
    WorkflowRun.objects.filter(pk=child.pk).update(failure_kind="fail", retryable=False)
    refuses(child)
    workflows.drain()
    assert parent.signals.get(kind="child").state == "delivered"


@pytest.mark.parametrize(
    "delete", [lambda run: run.delete(), lambda run: WorkflowRun.objects.filter(pk=run.pk).delete()]
)
def test_a_child_whose_parent_was_deleted_is_refused(order, ended, delete):
    parent = ended(order)
    child = parent.child_runs.get()
    delete(parent)
    child = reloaded(child)
    assert (child.parent_run_id, child.parent_deleted) == (None, True)
    refuses(child, "parent")
    assert not WorkflowRun.objects.retryable().exists()


# Rows of older code.


def test_history_tells_of_an_older_run_that_it_ended_by_fail(payment, ended):
    refuses(by_older_code(ended(payment, ends=["refused"])), "fail()")


def test_an_older_fail_after_failed_attempts_is_one_too(workflows):
    @workflow("stubborn", default_retry=Retry(max_attempts=3, base_delay=timedelta(0)))
    class Stubborn:
        @step(start=True)
        def begin(self):
            if self.attempt < 3:
                raise OSError
            return fail("enough")

    run = engine.start(Stubborn)
    workflows.drain()
    run = by_older_code(run)
    assert run.error == "enough"
    refuses(run, "fail()")


def test_an_older_fail_of_a_form_is_one_too(forms_of_nobody):
    refuses(by_older_code(forms_of_nobody), "fail()")


def test_an_older_crash_is_retried(payment, ended, workflows):
    run = by_older_code(ended(payment, ends=["crashes"]))
    engine.retry(run)
    workflows.drain()
    assert reloaded(run).status == "failed"  # the crash had taken nothing off its list
    assert reloaded(run).failure_kind == "exception"


def test_an_older_time_out_is_retried(ended, workflows):
    run = ended(declare_inquiry(timeout=timedelta(hours=1)))
    workflows.advance(timedelta(hours=1))
    engine.retry(by_older_code(run))
    workflows.drain()
    assert reloaded(run).waiting_signal == "answer"


def test_an_older_run_whose_workers_disappeared_is_retried(payment, ended):
    run = ended(payment, ends=["crashes"])
    # Its last error is the engine's own and none of its attempts'.
    StepExecution.objects.update(error="Step 'pay' was given up")
    WorkflowRun.objects.update(error="Step 'pay' was given up")
    engine.retry(by_older_code(run))
    assert reloaded(run).status == "running"


def test_an_older_run_whose_code_was_missing_is_retried(payment, workflows):
    run = engine.start(payment)
    definition = registry.find("payment")
    registry.remove(definition)
    workflows.advance(timedelta(minutes=10))
    run = by_older_code(run)
    assert run.status == "failed"
    engine.retry(run)
    assert reloaded(run).status == "running"


def test_a_fail_of_older_code_counts_whatever_newer_code_had_kept_of_an_earlier_failure(payment, ended):
    run = ended(payment, ends=["refused"])
    WorkflowRun.objects.filter(pk=run.pk).update(failure_kind="exception", retryable=True)
    refuses(run, "fail()")


# Many at once.


def command(*words):
    out = StringIO()
    try:
        call_command("workflows", *map(str, words), stdout=out)
    except SystemExit as leaving:
        return leaving.code, out.getvalue()
    return 0, out.getvalue()


@pytest.fixture
def failed(order, payment, ended):
    """Of each kind of failure one run."""
    parent = ended(order)
    return {
        "crash": ended(payment, ends=["crashes"]),
        "decided": ended(payment, ends=["refused"]),
        "allowed": ended(payment, ends=["try later"]),
        "older": by_older_code(ended(payment, ends=["refused"])),
        "child": parent.child_runs.get(),
    }


def test_all_leaves_out_what_a_retry_must_not_repeat(failed):
    code, printed = command("retry", "--all", "--no-input", "--json")
    told = json.loads(printed)
    assert told["done"] == [failed["crash"].pk, failed["allowed"].pk]
    assert list(told["refused"]) == [str(failed["older"].pk)]
    assert (code, told["left_out"]) == (1, 2)
    assert "fail()" in told["refused"][str(failed["older"].pk)]
    assert reloaded(failed["child"]).status == reloaded(failed["decided"]).status == "failed"


def test_all_says_how_many_it_has_left_out(payment, ended, capsys):
    ended(payment, ends=["refused"])
    out, err = StringIO(), StringIO()
    call_command("workflows", "retry", "--all", "--no-input", stdout=out, stderr=err)
    assert "1 run left out" in out.getvalue() + err.getvalue()
    assert "--force" in out.getvalue() + err.getvalue()


def test_a_named_run_is_refused_and_repeated_by_force(failed):
    run = failed["decided"]
    code, printed = command("retry", run.pk)
    assert (code, reloaded(run).status) == (1, "failed")
    assert "force" in printed
    assert command("retry", run.pk, "--force")[0] == 0
    assert reloaded(run).status == "running"


@pytest.mark.parametrize("words", [["--all"], ["--all", "--no-input"], []])
def test_force_takes_one_named_run(failed, words):
    named = [] if words else [failed["decided"].pk, failed["child"].pk]
    with pytest.raises(CommandError, match="one run"):
        command("retry", *named, *words, "--force")
    assert set(WorkflowRun.objects.filter(name="payment").values_list("status", flat=True)) == {"failed"}


def test_list_and_show_tell_how_runs_failed(failed):
    run = failed["decided"]
    kinds = {item["id"]: item["failure_kind"] for item in json.loads(command("list", "--json")[1])}
    assert (kinds[run.pk], kinds[failed["crash"].pk], kinds[failed["older"].pk]) == ("fail", "exception", None)
    chosen = json.loads(command("list", "--failure", "fail", "--json")[1])
    assert {item["id"] for item in chosen} == {run.pk, failed["allowed"].pk}
    assert "failed, ended by fail()" in command("list")[1]
    assert "ended by fail()" in command("show", run.pk)[1]
    assert "force=True" in command("show", failed["older"].pk)[1]
    data = json.loads(command("show", run.pk, "--json")[1])
    assert (data["failure_kind"], data["retryable"]) == ("fail", False)


# Of the model and in a step.


def test_a_run_cancels_and_retries_itself(payment, ended, workflows):
    run = ended(payment, ends=["crashes"])
    run.retry()
    assert (run.status, run.sequence) == ("running", reloaded(run).sequence)
    run.cancel("no use")
    assert (run.status, run.error, reloaded(run).status) == ("cancelled", "no use", "cancelled")
    with pytest.raises(IllegalMove):
        run.cancel()
    with pytest.raises(IllegalMove):
        run.retry(force=True)


def test_a_step_knows_which_attempt_it_is(workflows):
    seen = []

    @workflow("counts", default_retry=Retry(max_attempts=3))
    class Counts:
        @step(start=True)
        def begin(self):
            seen.append(self.attempt)
            if len(seen) < 3:
                raise OSError
            return complete()

    engine.start(Counts)
    workflows.advance(timedelta(minutes=5))
    assert seen == [1, 2, 3]


def test_an_attempt_that_had_no_code_does_not_count(workflows):
    seen = []

    @workflow("late", default_retry=Retry(max_attempts=1))
    class Late:
        @step(start=True)
        def begin(self):
            seen.append(self.attempt)
            return complete()

    run = engine.start(Late)
    definition = registry.find("late")
    registry.remove(definition)
    workflows.drain()
    registry.register(definition)
    workflows.advance(timedelta(minutes=1))
    assert (seen, reloaded(run).status) == ([1], "completed")


def test_a_step_named_attempt_stays_a_step(workflows):
    @workflow("named")
    class Named:
        @step(start=True)
        def begin(self):
            return goto(self.attempt)

        @step()
        def attempt(self):
            return complete()

    run = engine.start(Named)
    workflows.drain()
    assert reloaded(run).status == "completed"
