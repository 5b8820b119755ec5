"""A parent is resumed by its child's end, however that came, and a child that nobody waits for is cancelled."""

from datetime import timedelta

import pytest
from pydantic import BaseModel

from django_ai.automation.workflows.core import (
    Retry,
    complete,
    engine,
    fail,
    run_subflow,
    sleep,
    step,
    wait,
    workflow,
)
from django_ai.automation.workflows.models import Signal, WorkflowRun
from django_ai.automation.workflows.runtime import scheduler, worker

from .declared import reloaded


@pytest.fixture
def results():
    """What the parents were told, in order."""
    return []


@pytest.fixture
def parent(results):
    """A parent that gives its child an hour; ``patience`` of another parent is up to it."""

    @workflow("child")
    class Child:
        class Context(BaseModel):
            number: int = 0

        @step(start=True)
        def ask(self):
            return wait("answer")

        @step(retry=Retry(max_attempts=1))
        def end(self):
            if self.context.number < 0:
                raise ValueError("negative")
            return fail("zero") if self.context.number == 0 else complete()

    @workflow("parent")
    class Parent:
        @step(start=True)
        def begin(self):
            return run_subflow(Child, on_complete=self.after, timeout=timedelta(hours=1), on_timeout="give_up")

        @step()
        def after(self, subflow_result):
            results.append((str(subflow_result.status), subflow_result.error))
            return complete()

        @step()
        def give_up(self):
            return wait("never")

    return Parent


def started(workflows, workflow_class):
    run = engine.start(workflow_class)
    workflows.drain()
    return run, run.child_runs.get()


@pytest.mark.parametrize(
    ("number", "result"), [(1, ("completed", None)), (0, ("failed", "zero")), (-1, ("failed", "ValueError: negative"))]
)
def test_a_parent_learns_how_its_child_ended(workflows, parent, results, number, result):
    run, child = started(workflows, parent)
    engine.signal("answer", {"number": number}, run=child)
    workflows.drain()
    assert reloaded(run).status == "completed"
    assert results == [result]


@pytest.mark.parametrize(("reason", "error"), [("no use", "no use"), ("", "The run was cancelled.")])
def test_a_cancelled_child_counts_as_failed(workflows, parent, results, reason, error):
    run, child = started(workflows, parent)
    engine.cancel(child, reason)
    workflows.drain()
    assert reloaded(run).status == "completed"
    assert results == [("failed", error)]


def test_a_child_that_takes_too_long_is_cancelled_and_its_end_moves_nobody(workflows, parent, results):
    run, child = started(workflows, parent)
    workflows.advance(timedelta(hours=1))
    assert reloaded(run).waiting_signal == "never"
    assert (reloaded(child).status, reloaded(child).error) == (
        "cancelled",
        f"The parent run #{run.pk} (parent) no longer waits for this run.",
    )
    before = reloaded(run).sequence
    worker.deliver(run.pk)
    assert (reloaded(run).sequence, results) == (before, [])
    assert Signal.objects.get(run=run, kind="child").state == "missed"


def test_a_child_that_ends_and_a_time_that_runs_out_move_the_parent_once(workflows, parent, results):
    run, child = started(workflows, parent)
    waiting = reloaded(run)
    engine.signal("answer", {"number": 1}, run=child)
    workflows.drain()
    worker.wake(run.pk, waiting.sequence)
    workflows.advance(timedelta(hours=2))
    assert (reloaded(run).current_step, len(results)) == ("after", 1)
    assert reloaded(child).status == "completed"


def test_a_childs_second_end_does_not_reach_its_parent_again(workflows, parent, results):
    run, child = started(workflows, parent)
    engine.signal("answer", {"number": -1}, run=child)
    workflows.drain()
    engine.retry(child, force=True)
    workflows.drain()
    assert len(results) == 1
    assert reloaded(child).status == "failed"
    worker.deliver(run.pk)
    assert set(Signal.objects.filter(kind="child").values_list("state", flat=True)) == {"delivered", "missed"}


def test_a_time_out_without_a_step_for_it_fails_parent_and_grandparent_and_cancels_the_child(workflows, results):
    @workflow("sleeper")
    class Sleeper:
        @step(start=True)
        def rest(self):
            return sleep(timedelta(days=1), then=self.rest)

    @workflow("middle")
    class Middle:
        @step(start=True)
        def begin(self):
            return run_subflow(Sleeper, on_complete="end", timeout=timedelta(hours=1))

        @step()
        def end(self):
            return complete()

    @workflow("top")
    class Top:
        @step(start=True)
        def begin(self):
            return run_subflow(Middle, on_complete=self.end)

        @step()
        def end(self, subflow_result):
            results.append((str(subflow_result.status), subflow_result.error))
            return complete()

    top, middle = started(workflows, Top)
    workflows.advance(timedelta(hours=1))
    assert reloaded(middle).status == "failed"
    assert "child 'sleeper' did not come within 1:00:00" in reloaded(middle).error
    assert results == [("failed", reloaded(middle).error)]
    assert middle.child_runs.get().status == "cancelled"
    assert reloaded(top).status == "completed"


def test_cancelling_a_run_cancels_its_descendants(workflows):
    @workflow("leaf")
    class Leaf:
        @step(start=True)
        def ask(self):
            return wait("never")

    @workflow("branch")
    class Branch:
        @step(start=True)
        def begin(self):
            return run_subflow(Leaf, on_complete=self.end)

        @step()
        def end(self):
            return complete()

    @workflow("root")
    class Root:
        @step(start=True)
        def begin(self):
            return run_subflow(Branch, on_complete=self.end)

        @step()
        def end(self):
            return complete()

    root, _ = started(workflows, Root)
    engine.cancel(root)
    workflows.drain()
    assert list(WorkflowRun.objects.values_list("status", flat=True)) == ["cancelled"] * 3


def test_a_child_that_cannot_start_fails_its_parent_and_leaves_no_child(workflows):
    @workflow("particular")
    class Particular:
        class Context(BaseModel):
            number: int

        @step(start=True)
        def end(self):
            return complete()

    @workflow("careless")
    class Careless:
        @step(start=True)
        def begin(self):
            return run_subflow(Particular, on_complete=self.end, number="many")

        @step()
        def end(self):
            return complete()

    run = engine.start(Careless)
    workflows.drain()
    run = reloaded(run)
    assert (run.status, run.step_executions.get().attempts, run.child_runs.count()) == ("failed", 1, 0)
    assert "'particular'" in run.error
    assert "number: " in run.error


def test_a_childs_result_is_there_after_the_wait_and_the_sleeps_of_its_step(workflows, results):
    @workflow("quick")
    class Quick:
        @step(start=True)
        def end(self):
            return complete()

    @workflow("asking")
    class Asking:
        @step(start=True)
        def begin(self):
            return run_subflow(Quick, on_complete=self.after)

        @wait("confirmation")
        @step()
        def after(self, subflow_result):
            results.append(subflow_result.run_id)
            return sleep(1) if len(results) < 3 else complete()

    run, child = started(workflows, Asking)
    assert reloaded(run).waiting_signal == "confirmation"
    engine.signal("confirmation")
    workflows.advance(timedelta(seconds=2))
    assert reloaded(run).status == "completed"
    assert results == [child.pk] * 3


def test_a_finished_child_resumes_even_a_parent_whose_context_no_longer_fits(workflows, parent):
    run, child = started(workflows, parent)
    parent.Context = type("Context", (BaseModel,), {"__annotations__": {"needed": int}})
    from dataclasses import replace

    from django_ai.automation.workflows.authoring.registry import registry

    registry.register(replace(registry.find("parent"), context_class=parent.Context))
    engine.signal("answer", {"number": 1}, run=child)
    workflows.drain()
    run = reloaded(run)
    assert (run.status, run.current_step) == ("failed", "after")
    assert "needed: " in run.error


def test_a_parent_whose_child_was_deleted_goes_on_with_its_failure(workflows, parent, results):
    run, child = started(workflows, parent)
    WorkflowRun.objects.filter(pk=child.pk).delete()
    workflows.drain()
    assert results == [("failed", f"The child run #{child.pk} (child) was deleted.")]
    assert reloaded(run).status == "completed"


def test_a_childs_lost_message_is_sent_again(workflows, parent, results, settings):
    settings.DJANGO_AI = {"STEPS_PER_TASK": 1}  # else the task that ends the child goes on with its parent
    run, child = started(workflows, parent)
    engine.signal("answer", {"number": 1}, run=child)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(scheduler, "resend_deliveries", lambda age=None: 0)
        worker.deliver(child.pk)
    assert (reloaded(child).status, reloaded(run).status) == ("completed", "suspended")
    workflows.drain()
    assert (reloaded(run).status, len(results)) == ("completed", 1)
