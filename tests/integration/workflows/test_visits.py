"""A step that launched a child, slept or waited is in the history once the run has gone on elsewhere."""

from datetime import timedelta

import pytest
from pydantic import BaseModel

from django_ai.automation.workflows.core import (
    Retry,
    complete,
    engine,
    event_workflow,
    fail,
    goto,
    run_subflow,
    sleep,
    step,
    wait,
    wait_for_event,
    workflow,
)
from django_ai.automation.workflows.models import PastWait, StepExecution, Suspension
from django_ai.automation.workflows.runtime import forms
from django_ai.automation.workflows.statezero_action import statezero_action

from .declared import reloaded

HOUR = timedelta(hours=1)


class Child:
    @step(start=True)
    def only(self):
        return wait("child_goes_on")


@pytest.fixture(autouse=True)
def child():
    return workflow("visited_child")(Child)


def visits_of(run):
    return list(run.step_executions.values_list("step_name", "status"))


def declare(first, start_options=None):
    """Declare a workflow whose first step does ``first``; the others complete or fail."""

    class Visited:
        class Context(BaseModel):
            tries: int = 0
            answer: str = ""

        @step(start=True, **(start_options or {}))
        def first(self):
            self.context.tries += 1
            return first(self)

        @step()
        def second(self, subflow_result=None):
            return complete()

        @step()
        def too_late(self):
            return fail("too late")

    return workflow("visited")(Visited)


LEADS_ELSEWHERE = {
    "wait": lambda self: wait("answer"),
    "wait with then": lambda self: wait("answer", then=self.second),
    "event": lambda self: wait_for_event("answer"),
    "child": lambda self: run_subflow(Child, on_complete=self.second),
    "sleep with then": lambda self: sleep(HOUR, then=self.second),
}


def answer(kind, workflows):
    if kind == "event":
        from django_ai.automation.events import emit

        emit("answer")
    elif kind == "child":
        engine.signal("child_goes_on")
    elif kind.startswith("wait"):
        engine.signal("answer")
    else:
        workflows.advance(HOUR)
    workflows.drain()


@pytest.mark.parametrize("kind", LEADS_ELSEWHERE)
def test_a_visit_is_completed_when_the_run_goes_on_elsewhere(workflows, kind):
    run = engine.start(declare(LEADS_ELSEWHERE[kind]))
    workflows.drain()
    assert visits_of(run) == [], "while it is suspended the step has no row"
    suspended_at = Suspension.objects.get(run=run).created_at
    answer(kind, workflows)
    assert visits_of(run) == [("first", "completed"), ("second", "completed")]
    first, second = run.step_executions.all()
    assert (first.changes, first.attempts, first.failures) == ({"tries": [0, 1]}, 1, [])
    assert first.created_at == suspended_at, "the wait is no part of the visit's duration"
    assert first.sequence < run.past_waits.get().sequence < second.sequence


def test_the_row_has_the_attempts_and_the_failures_of_its_visit(workflows):
    def first(self):
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError("no line")
        return wait("answer")

    attempts = []
    run = engine.start(declare(first, {"retry": Retry(base_delay=timedelta(seconds=10))}))
    workflows.advance(timedelta(minutes=1))
    engine.signal("answer")
    workflows.drain()
    visit = run.step_executions.get(step_name="first")
    assert (visit.attempts, [failure["error"] for failure in visit.failures]) == (3, ["OSError: no line"] * 2)
    assert visit.duration == timedelta(seconds=30)


def test_a_time_out_that_leads_elsewhere_completes_the_visit(workflows):
    run = engine.start(declare(lambda self: wait("answer", timeout=HOUR, on_timeout=self.too_late)))
    workflows.advance(HOUR)
    assert visits_of(run) == [("first", "completed"), ("too_late", "failed")]


def test_a_time_out_that_leads_nowhere_fails_the_step_once(workflows):
    run = engine.start(declare(lambda self: wait("answer", timeout=HOUR)))
    workflows.advance(HOUR)
    assert visits_of(run) == [("first", "failed")]
    assert run.past_waits.get().visit["changes"] == {"tries": [0, 1]}


def test_the_last_step_of_a_class_that_waits_is_completed_with_the_run(workflows):
    @workflow("waits_last")
    class WaitsLast:
        @step(start=True)
        def only(self):
            return wait("answer")

    run = engine.start(WaitsLast)
    workflows.drain()
    engine.signal("answer")
    workflows.drain()
    assert (reloaded(run).status, visits_of(run)) == ("completed", [("only", "completed")])


@pytest.mark.parametrize(
    "again",
    [lambda self: sleep(HOUR), lambda self: sleep(HOUR, then=self.first), lambda self: wait("answer", then=self.first)],
    ids=["sleep", "sleep with then", "wait with then"],
)
def test_a_step_that_comes_back_to_itself_has_one_row_at_its_end(workflows, again):
    run = engine.start(declare(lambda self: again(self) if self.context.tries < 3 else goto(self.second)))
    for _ in range(2):
        workflows.advance(HOUR)
        engine.signal("answer")
        workflows.drain()
    assert visits_of(run) == [("first", "completed"), ("second", "completed")]
    assert run.step_executions.first().changes == {"tries": [2, 3]}
    assert [wait.visit["changes"] for wait in run.past_waits.all()] == [{"tries": [0, 1]}, {"tries": [1, 2]}]


def test_a_step_is_not_completed_by_a_run_that_is_cancelled_while_it_waits(workflows):
    run = engine.start(declare(LEADS_ELSEWHERE["wait"]))
    workflows.drain()
    engine.cancel(reloaded(run))
    assert (visits_of(run), bool(run.past_waits.get().visit)) == ([], True)


def test_a_step_that_first_waits_and_then_runs_has_one_row(workflows):
    @workflow("waits_first")
    class WaitsFirst:
        @wait.for_signal("answer")
        @step(start=True)
        def first(self):
            return goto(self.second)

        @wait.for_signal("answer", timeout=60, on_timeout="third")
        @step()
        def second(self):
            return complete()

        @step()
        def third(self):
            return complete()

    run = engine.start(WaitsFirst)
    workflows.drain()
    engine.signal("answer")
    workflows.advance(HOUR)
    assert visits_of(run) == [("first", "completed"), ("third", "completed")], "the body of second never ran"


def test_a_form_whose_body_waits_has_one_row(workflows):
    @workflow("form_waits")
    class FormWaits:
        class Context(BaseModel):
            name: str = ""

        @statezero_action(name="form_waits")
        @step(start=True)
        def ask(self, name: str):
            self.context.name = name
            return wait("answer")

        @step()
        def end(self):
            return complete()

    run = engine.start(FormWaits)
    workflows.drain()
    forms.submit(run.pk, forms.Post(action="form_waits", arguments={"name": "Ada"}), lambda run: run)
    assert visits_of(run) == []
    engine.signal("answer")
    workflows.drain()
    assert visits_of(run) == [("ask", "completed"), ("end", "completed")]
    assert run.step_executions.first().changes == {"name": ["", "Ada"]}


def test_a_run_that_goes_from_wait_to_wait_has_its_visits_in_order(workflows):
    @workflow("wait_to_wait")
    class WaitToWait:
        @step(start=True)
        def begin(self):
            return wait("one")

        @wait.for_signal("two")
        @step()
        def middle(self):
            return wait("three")

        @step()
        def end(self):
            return complete()

    run = engine.start(WaitToWait)
    for name in ("one", "two", "three"):
        workflows.drain()
        engine.signal(name)
    workflows.drain()
    assert [name for name, _ in visits_of(run)] == ["begin", "middle", "end"]
    ended = [visit.created_at for visit in run.step_executions.all()]
    assert ended == sorted(ended)


def test_a_next_step_that_cannot_be_entered_leaves_the_visit_completed(workflows):
    @workflow("no_entry")
    class NoEntry:
        class Context(BaseModel):
            reference: str = "x" * 201  # too long for a key

        @step(start=True)
        def begin(self):
            return wait("go")

        @wait.for_signal("go", correlate="{reference}")
        @step()
        def refuses(self):
            return complete()

    run = engine.start(NoEntry)
    workflows.drain()
    engine.signal("go")
    workflows.drain()
    assert visits_of(run) == [("begin", "completed"), ("refuses", "failed")]


def test_a_wait_that_older_code_ended_shows_its_visit_and_has_no_row(workflows):
    run = engine.start(declare(LEADS_ELSEWHERE["wait"]))
    workflows.drain()
    visit = Suspension.objects.get().visit
    engine.signal("answer")
    workflows.drain()
    StepExecution.objects.filter(step_name="first").delete()
    PastWait.objects.update(visit=visit)
    again = engine.restart(reloaded(run), 1)
    assert (again.current_step, again.data["tries"]) == ("first", 0)


def test_a_run_can_be_begun_again_at_a_visit_that_launched_a_child(workflows):
    run = engine.start(declare(LEADS_ELSEWHERE["child"]))
    workflows.drain()
    answer("child", workflows)
    assert reloaded(run).data["tries"] == 1
    again = engine.restart(reloaded(run), run.step_executions.get(step_name="first").sequence)
    assert (again.current_step, again.data["tries"]) == ("first", 0)
    after = engine.restart(reloaded(run), run.step_executions.get(step_name="second").sequence)
    assert (after.current_step, after.data["tries"]) == ("second", 1)
    assert after.inputs["subflow_result"]["status"] == "completed"


def test_an_event_workflow_that_waits_records_its_steps(workflows):
    from django_ai.automation.events import emit

    @event_workflow("visited_event", name="visited_by_event")
    class ByEvent:
        @step(start=True)
        def begin(self):
            return wait("answer")

        @step()
        def end(self):
            return complete()

    emit("visited_event")
    workflows.drain()
    engine.signal("answer")
    workflows.drain()
    names = StepExecution.objects.filter(run__name="visited_by_event").values_list("step_name", flat=True)
    assert list(names) == ["begin", "end"]
