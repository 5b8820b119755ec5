"""What a run stores of its context, and what a step may not leave behind."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from django_ai.automation.workflows.core import (
    complete,
    engine,
    get_context,
    goto,
    run_subflow,
    step,
    wait,
    workflow,
)
from django_ai.automation.workflows.exceptions import ContextInvalid, SignalRejected
from django_ai.automation.workflows.models import WorkflowRun

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_run_whose_step_sets_an_attribute_fails_at_once(workflows):
    @workflow("keeps_on_self")
    class Keeps:
        @step(start=True)
        def first(self):
            self.total = 5
            return goto(self.second)

        @step()
        def second(self):
            return complete()

    run = engine.start(Keeps)
    workflows.drain()
    run.refresh_from_db()
    assert (run.status, run.current_step, run.attempt) == ("failed", "first", 1)
    assert "self.total, which is lost when the step ends: declare it in Context" in run.error


def test_a_context_that_a_step_replaces_is_carried_on(workflows):
    seen = []

    @workflow("replaces")
    class Replaces:
        class Context(BaseModel, frozen=True):
            level: int = 0

        @step(start=True)
        def first(self):
            self.context = self.context.model_copy(update={"level": 5})
            seen.append(get_context().level)
            return goto(self.second)

        @step()
        def second(self):
            seen.append(get_context().level)
            return complete(level=6)

    run = engine.start(Replaces)
    workflows.drain()
    run.refresh_from_db()
    assert seen == [5, 5]
    assert run.data == {"level": 6}


def test_a_context_that_cannot_be_kept_fails_its_run_at_once(workflows):
    @workflow("loses")
    class Loses:
        class Context(BaseModel):
            anything: Any = None

        @step(start=True)
        def first(self):
            self.context.anything = (1, 2)
            return complete()

    run = engine.start(Loses)
    workflows.drain()
    run.refresh_from_db()
    assert (run.status, run.attempt) == ("failed", 1)
    assert "anything: a tuple would be a list" in run.error


class Price(BaseModel):
    model_config = ConfigDict(strict=True)
    total: int = Field(0, serialization_alias="grandTotal")
    labels: set[str] = set()


@pytest.fixture
def pricing(workflows):
    @workflow("pricing")
    class Pricing:
        Context = Price

        @step(start=True)
        def ask(self):
            return wait("answer", then=self.end)

        @step()
        def end(self):
            return complete(labels={"old"} | self.context.labels)

    run = engine.start(Pricing, total=12)
    workflows.drain()
    return run


def test_a_signal_an_edit_and_a_restart_agree_on_the_fields_of_a_run(workflows, pricing):
    engine.signal("answer", {"total": 13, "labels": ["new"]}, run=pricing)
    workflows.drain()
    pricing.refresh_from_db()
    assert pricing.data["total"] == 13
    assert sorted(pricing.data["labels"]) == ["new", "old"]
    again = engine.restart(pricing, pricing.step_executions.get(step_name="end").sequence)
    assert (again.data["total"], again.data["labels"]) == (13, ["new"])


def test_a_row_of_an_earlier_release_is_edited_and_carried_on(workflows, pricing):
    WorkflowRun.objects.filter(pk=pricing.pk).update(data={"grandTotal": 12, "labels": []})
    engine.edit(pricing, labels=["edited"])
    pricing.refresh_from_db()
    assert pricing.data == {"total": 12, "labels": ["edited"]}
    WorkflowRun.objects.filter(pk=pricing.pk).update(data={"grandTotal": 12, "labels": []})
    engine.signal("answer", {"labels": ["new"]}, run=pricing)
    workflows.drain()
    pricing.refresh_from_db()
    assert (pricing.status, pricing.data["total"]) == ("completed", 12)


def test_a_signal_that_does_not_fit_a_renamed_field_is_rejected(pricing):
    with pytest.raises(SignalRejected, match="total"):
        engine.signal("answer", {"total": "many"}, run=pricing)


def test_a_parent_reads_its_childs_renamed_fields_and_its_own(workflows):
    results = []

    @workflow("renamed_child")
    class Child:
        Context = Price

        @step(start=True)
        def only(self):
            return complete(total=self.context.total + 1, labels={"a"})

    @workflow("renamed_parent")
    class Parent:
        class Context(BaseModel):
            model_config = ConfigDict(alias_generator=str.upper, populate_by_name=True)
            active_subworkflow_run_id: int | None = None

        @step(start=True)
        def begin(self):
            return run_subflow(Child, on_complete=self.after, total=1)

        @step()
        def after(self, subflow_result):
            results.append((self.context.active_subworkflow_run_id, subflow_result))
            return complete()

    engine.start(Parent)
    workflows.advance(timedelta(minutes=1))
    ((number, result),) = results
    assert number == result.run_id
    assert (result.context.total, result.context.labels) == (2, {"a"})


def test_a_first_context_of_another_class_is_refused():
    @workflow("larger")
    class Larger:
        class Context(BaseModel):
            total: int = 0

        @classmethod
        def create_context(cls):
            class More(cls.Context):
                more: int = 5

            return More()

        @step(start=True)
        def only(self):
            return complete()

    with pytest.raises(ContextInvalid, match="create_context must return a Context"):
        engine.start(Larger)
