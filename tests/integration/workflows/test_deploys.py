"""Runs that were started by yesterday's code go on with today's, or say what they lack."""

from datetime import timedelta

import pytest
from pydantic import BaseModel

from django_ai.automation.workflows.authoring.registry import registry
from django_ai.automation.workflows.core import (
    complete,
    engine,
    event_workflow,
    get_context,
    goto,
    run_subflow,
    sleep,
    step,
    wait,
    workflow,
)
from django_ai.automation.workflows.exceptions import UnknownWorkflow
from django_ai.automation.workflows.models import Signal, WorkflowRun

from .declared import declare_inquiry, reloaded

pytestmark = pytest.mark.django_db


def retire(*names):
    """Forget what yesterday's code declared."""
    for definition in list(registry):
        if definition.name in names:
            registry.remove(definition)


def declare_ending(version, text, name="ending"):
    """Declare a version of a workflow whose runs say which version ended them."""

    class Ending:
        class Context(BaseModel):
            text: str = ""

        @step(start=True)
        def begin(self):
            return wait("go", then=self.end)

        @step()
        def end(self):
            return complete(text=text)

    Ending.__qualname__ = f"Ending{version}"
    return workflow(name, version=version)(Ending)


# Versions side by side.


def test_a_run_stays_on_the_version_that_it_started_with(workflows):
    declare_ending("1", "by the first")
    old = engine.start("ending")
    declare_ending("2", "by the second")
    new = engine.start("ending")
    workflows.drain()
    engine.signal("go")
    workflows.drain()
    assert [(run.version, run.data["text"]) for run in map(reloaded, (old, new))] == [
        ("1", "by the first"),
        ("2", "by the second"),
    ]


def test_a_run_whose_version_is_gone_goes_on_with_the_newest(workflows):
    declare_ending("1", "by the first")
    run = engine.start("ending")
    workflows.drain()
    retire("ending")
    declare_ending("3", "by the third")
    declare_ending("2", "by the second")
    engine.signal("go")
    workflows.drain()
    assert (reloaded(run).status, reloaded(run).data["text"]) == ("completed", "by the third")


@pytest.mark.parametrize("declared", [("10", "9"), ("9", "10"), ("2026.10", "2026.9"), ("1.2rc1", "1.2"), ("b", "a")])
def test_the_newest_version_is_told_by_its_number_not_by_the_order_of_imports(declared):
    for version in declared:
        declare_ending(version, version)
    newest = "10" if "10" in declared else declared[0]
    assert engine.start("ending").version == newest


def test_a_version_can_be_chosen_and_a_class_is_a_version():
    first, second = declare_ending("1", "one"), declare_ending("2", "two")
    assert engine.using(version="1").start("ending").version == "1"
    assert engine.using(version="1").start(second).version == "1"
    assert engine.start(first).version == "1"


def test_a_version_that_is_not_registered_cannot_be_started():
    declare_ending("10", "ten")
    declare_ending("9", "nine")
    with pytest.raises(UnknownWorkflow, match=r"'ending' has no version '3'. Registered: '9', '10'\."):
        engine.using(version="3").start("ending")
    assert not WorkflowRun.objects.exists()


def test_one_key_is_one_run_whatever_the_version():
    declare_ending("1", "one")
    run = engine.using(idempotency_key="order-7").start("ending")
    declare_ending("2", "two")
    assert engine.using(idempotency_key="order-7").start("ending") == run


def test_an_event_starts_the_newest_version_and_listens_as_that_one_does(workflows):
    from django_ai.automation.events import emit

    def declare(version, event):
        @event_workflow(event, name="listening", version=version)
        class Listening:
            @step(start=True)
            def begin(self):
                return complete()

        return Listening

    class Elsewhere:
        @step(start=True)
        def begin(self):
            return complete()

    event_workflow("placed", name="listening", version="2")(Elsewhere)
    declare("1", "ordered")
    emit("ordered")
    emit("placed")
    workflows.drain()
    assert [run.version for run in WorkflowRun.objects.all()] == ["2"]


# Steps that were renamed.


def declare_old(first):
    @workflow("renamed")
    class Renamed:
        @step(start=True)
        def begin(self):
            return first(self)

        @step()
        def old_next(self):
            return complete()

        @step()
        def old_late(self):
            return complete()


def declare_new(seen):
    @workflow("renamed")
    class RenamedToday:
        @step(start=True, aliases=["begin"])
        def opening(self):
            seen.append("opening")
            return goto("old_next")

        @step(aliases=["old_next", "older_next"])
        def following(self, subflow_result=None):
            seen.append("following")
            return complete()

        @step(aliases=["old_late"])
        def late(self):
            seen.append("late")
            return complete()


@pytest.mark.parametrize(
    ("first", "then", "visited"),
    [
        (None, None, ["opening", "following"]),
        (lambda self: sleep(timedelta(hours=1)), None, ["opening", "following"]),
        (lambda self: sleep(timedelta(hours=1), then=self.old_next), None, ["following"]),
        (lambda self: wait("go", then=self.old_next), "go", ["following"]),
        (lambda self: wait("go", timeout=timedelta(hours=1), on_timeout=self.old_late), None, ["late"]),
        (lambda self: run_subflow("inquiry", on_complete=self.old_next), "answer", ["following"]),
    ],
    ids=["running", "sleeping", "sleeping before", "waiting", "timing out", "with a child"],
)
def test_a_run_finds_the_step_that_was_renamed(workflows, first, then, visited):
    seen = []
    declare_inquiry()
    declare_old(first)
    run = engine.start("renamed")
    if first:
        workflows.drain()
    retire("renamed")
    declare_new(seen)
    if then:
        engine.signal(then)
    workflows.advance(timedelta(hours=2))
    assert (reloaded(run).status, seen) == ("completed", visited)
    # History knows the steps by the names that they have now.
    before = [] if "opening" in visited else ["opening"]
    assert list(run.step_executions.values_list("step_name", flat=True)) == before + visited


def test_a_failed_run_is_retried_at_the_renamed_step(workflows):
    seen = []
    declare_old(lambda self: 1 / 0)
    run = engine.start("renamed")
    workflows.advance(timedelta(hours=1))
    retire("renamed")
    declare_new(seen)
    engine.retry(run)
    workflows.drain()
    assert (reloaded(run).status, seen) == ("completed", ["opening", "following"])


def test_a_run_whose_step_is_gone_says_how_it_can_go_on(workflows):
    declare_old(lambda self: goto(self.old_next))
    run = engine.start("renamed")
    WorkflowRun.objects.update(current_step="forgotten", version="0")
    workflows.advance(timedelta(minutes=10))
    parked = reloaded(run)
    assert parked.status == "failed"
    for part in (f"#{run.pk}", "'0'", "'1'", "aliases=['forgotten']", "engine.retry(run)", "register version '0'"):
        assert part in parked.error


# Contexts that changed.


def declare_with_context(*, context, first, name="growing"):
    @workflow(name)
    class Growing:
        Context = context

        @step(start=True)
        def begin(self):
            return first(self)

        @step()
        def end(self, subflow_result=None):
            return complete()


class Before(BaseModel):
    number: int = 1
    text: str = ""


class WithDefault(Before):
    added: str = "default"


class Demanding(Before):
    required: int


class Renamed(BaseModel, extra="forbid"):
    number: int
    label: str


REMEDIED = WithDefault


def move_on(workflows, run):
    engine.signal("go", {"text": "came", "unknown": 1})
    workflows.advance(timedelta(hours=2))
    return reloaded(run)


WAYS = {
    "sleeping": lambda self: sleep(timedelta(hours=1), then=self.end),
    "waiting": lambda self: wait("go", then=self.end),
}


@pytest.mark.parametrize("first", WAYS.values(), ids=WAYS)
def test_a_new_field_with_a_default_is_filled_in(workflows, first):
    declare_with_context(context=Before, first=first)
    run = engine.start("growing", number=7)
    workflows.drain()
    retire("growing")
    declare_with_context(context=WithDefault, first=first)
    moved = move_on(workflows, run)
    assert (moved.status, moved.data["number"], moved.data["added"]) == ("completed", 7, "default")


@pytest.mark.parametrize("changed", [Demanding, Renamed])
@pytest.mark.parametrize("first", WAYS.values(), ids=WAYS)
def test_a_context_that_no_longer_fits_parks_the_run_which_goes_on_after_the_fix(workflows, first, changed):
    declare_with_context(context=Before, first=first)
    run = engine.start("growing", number=7)
    workflows.drain()
    retire("growing")
    declare_with_context(context=changed, first=first)
    parked = move_on(workflows, run)
    assert parked.status == "failed"
    field = "required" if changed is Demanding else "label"
    for part in (f"#{run.pk}", "'growing'", f"{field}: Field required", "default", "engine.retry(run)"):
        assert part in parked.error
    retire("growing")
    declare_with_context(context=REMEDIED, first=first)
    engine.retry(run)
    workflows.drain()
    ended = reloaded(run)
    assert (ended.status, ended.data["number"]) == ("completed", 7)
    # The answer that came meanwhile is there, if the code of then declared its field.
    kept = first is WAYS["waiting"] and "text" in changed.model_fields
    assert ended.data["text"] == ("came" if kept else "")


def test_an_answer_may_bring_the_field_that_is_required_now(workflows):
    declare_with_context(context=Before, first=WAYS["waiting"])
    run = engine.start("growing")
    workflows.drain()
    retire("growing")
    declare_with_context(context=Demanding, first=WAYS["waiting"])
    engine.signal("go", {"required": 3})
    workflows.drain()
    assert (reloaded(run).status, reloaded(run).data["required"]) == ("completed", 3)
    assert Signal.objects.get().state == "delivered"


def test_a_childs_end_reaches_a_parent_whose_context_no_longer_fits(workflows):
    def first(self):
        return run_subflow("inquiry", on_complete=self.end)

    declare_inquiry()
    declare_with_context(context=Before, first=first)
    run = engine.start("growing")
    workflows.drain()
    retire("growing")
    declare_with_context(context=Demanding, first=first)
    engine.signal("answer", {"text": "yes"})
    workflows.drain()
    assert "required: Field required" in reloaded(run).error
    retire("growing")
    declare_with_context(context=REMEDIED, first=first)
    engine.retry(run)
    workflows.drain()
    assert reloaded(run).status == "completed"


def test_a_parked_run_can_be_cancelled_while_it_waits_and_shown(workflows):
    declare_with_context(context=Before, first=WAYS["waiting"])
    run = engine.start("growing")
    workflows.drain()
    retire("growing")
    declare_with_context(context=Demanding, first=WAYS["waiting"])
    assert reloaded(run).current_step_display["step_type"] == "waiting"
    assert engine.cancel(run).status == "cancelled"


def test_a_step_sees_its_context_whole_after_a_deploy_that_dropped_a_field(workflows):
    seen = []

    class Smaller(BaseModel):
        number: int = 0

    def first(self):
        seen.append(dict(get_context()))
        return complete()

    declare_with_context(context=Before, first=first)
    run = engine.start("growing", number=7)
    retire("growing")
    declare_with_context(context=Smaller, first=first)
    workflows.drain()
    assert (reloaded(run).status, seen) == ("completed", [{"number": 7}])
