"""A parent learns that its child was deleted, whatever deleted it."""

import pytest
from django.db import connection
from pydantic import BaseModel

from django_ai.automation.workflows import health
from django_ai.automation.workflows.authoring.registry import registry
from django_ai.automation.workflows.core import complete, engine, fail, run_subflow, step, wait, workflow
from django_ai.automation.workflows.exceptions import ContextInvalid
from django_ai.automation.workflows.models import PastWait, Signal, StepExecution, Suspension, WorkflowRun
from django_ai.automation.workflows.runtime import childless, retention, scheduler, worker
from django_ai.automation.workflows.runtime.stuck import stuck

from .declared import reloaded

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _from_the_first_wait(monkeypatch):
    monkeypatch.setattr(childless, "watch", childless.Watch())


@pytest.fixture
def results():
    return []


@pytest.fixture
def parent(results):
    @workflow("asked")
    class Asked:
        class Context(BaseModel):
            text: str = ""

        @step(start=True)
        def ask(self):
            return wait("answer")

        @step()
        def end(self):
            return complete()

    @workflow("asks")
    class Asks:
        @step(start=True)
        def begin(self):
            return run_subflow(Asked, on_complete=self.after)

        @step()
        def after(self, subflow_result):
            results.append(subflow_result)
            return complete() if subflow_result.status == "completed" else fail(subflow_result.error)

    return Asks


@pytest.fixture
def family(parent, workflows):
    """A parent that waits, and its child that does too."""
    run = engine.start(parent)
    workflows.drain()
    return reloaded(run), run.child_runs.get()


def delete_raw(run):
    for model in (Suspension, PastWait, StepExecution):
        model.objects.filter(run=run)._raw_delete("default")
    WorkflowRun.objects.filter(pk=run.pk)._raw_delete("default")


DELETIONS = {
    "instance": lambda run: run.delete(),
    "queryset": lambda run: WorkflowRun.objects.filter(pk=run.pk).delete(),
    "raw": delete_raw,
}


@pytest.mark.parametrize("delete", DELETIONS.values(), ids=DELETIONS)
def test_the_parent_gets_a_failed_result_that_says_so(family, workflows, results, delete):
    run, child = family
    delete(reloaded(child))
    workflows.drain()
    run, (result,) = reloaded(run), results
    said = f"The child run #{child.pk} (asked) was deleted."
    assert (run.status, run.error) == ("failed", said)
    assert (result.status, result.run_id, result.error) == ("failed", child.pk, said)
    assert not result.context
    with pytest.raises(ContextInvalid, match="was deleted"):
        _ = result.context.text


def test_what_the_child_had_said_before_counts(family, workflows, results, settings):
    settings.DJANGO_AI = {"STEPS_PER_TASK": 1}
    run, child = family
    engine.signal("answer", {"text": "yes"}, run=child)
    definition = registry.find("asks")
    registry.remove(definition)  # so that the end stays in the parent's inbox
    workflows.drain()
    registry.register(definition)
    child.delete()
    workflows.drain()
    assert [(result.status, result.context.text) for result in results] == [("completed", "yes")]
    assert reloaded(run).status == "completed"


def test_a_parent_is_told_once_however_many_schedulers_look(family, results, workflows):
    _, child = family
    child.delete()
    told = [childless.Watch().tell() for _ in range(3)]
    assert told == [1, 0, 0]
    workflows.drain()
    assert len(results) == 1


def test_a_parent_whose_child_is_there_is_told_nothing(family):
    assert scheduler.tick().children_lost == 0
    assert not Signal.objects.filter(run=family[0]).exists()


def test_the_watch_goes_round_all_waits_page_by_page(parent, workflows, settings):
    settings.DJANGO_AI = {"BATCH_SIZE": 2}
    runs = [engine.start(parent) for _ in range(5)]
    workflows.drain()
    WorkflowRun.objects.filter(parent_run__in=[runs[0], runs[4]]).delete()
    watch = childless.Watch()
    assert [watch.tell() for _ in range(4)] == [1, 0, 1, 0]


def test_a_pass_asks_the_same_however_many_wait(family, django_assert_num_queries):
    with django_assert_num_queries(2):
        childless.Watch().tell()


def test_a_pass_without_waits_for_children_asks_once(django_assert_num_queries):
    with django_assert_num_queries(1):
        childless.Watch().tell()


@pytest.mark.postgres
def test_waits_and_children_are_found_by_an_index(family, django_assert_num_queries):
    with django_assert_num_queries(2) as asked:
        childless.page_after(0, 100)
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        plans = []
        for query in asked.captured_queries:
            cursor.execute(f"EXPLAIN {query['sql']}")
            plans.append("\n".join(line for (line,) in cursor.fetchall()))
        cursor.execute("RESET enable_seqscan")
    assert "workflow_suspension_kind" in plans[0]
    assert not [plan for plan in plans if "Seq Scan" in plan]


def test_health_and_the_list_of_stuck_runs_name_the_parent(family):
    run, child = family
    assert stuck("default") == []
    child.delete()
    assert stuck("default") == [run.pk]
    check = {check.name: check for check in health.report().checks}["stuck runs"]
    assert f"#{run.pk}" in check.value
    assert f"#{run.pk}" in check.advice
    assert "deleted" in check.advice


def test_a_parent_goes_on_though_the_context_of_its_failed_child_no_longer_fits(family, workflows, results):
    run, child = family
    WorkflowRun.objects.filter(pk=child.pk).update(data={"text": ["no text"]})
    engine.cancel(child, "enough")
    workflows.drain()
    (result,) = results
    assert (reloaded(run).error, bool(result.context)) == ("enough", False)
    with pytest.raises(ContextInvalid, match="text"):
        _ = result.context.text


def test_the_retention_deletes_no_child_that_a_parent_waits_for(family, workflows, settings):
    settings.DJANGO_AI = {"STEPS_PER_TASK": 1}
    run, child = family
    registry.remove(registry.find("asks"))
    engine.signal("answer", {"text": "yes"}, run=child)
    workflows.drain()
    child = reloaded(child)
    assert child.status == "completed"
    retention.cleanup(before=child.finished_at.replace(year=2100))
    assert (reloaded(child).pk, reloaded(run).status) == (child.pk, "suspended")


def test_messages_to_a_run_that_was_deleted_go_with_the_next_delivery(family):
    run, child = family
    engine.signal("answer", {"text": "yes"}, run=child)
    kept = Signal.objects.create(run=run, kind="signal", name="kept", created_at=run.created_at)
    delete_raw(child)
    worker.deliver(child.pk)
    assert list(Signal.objects.all()) == [kept]


def test_the_cleanup_deletes_messages_to_runs_that_were_deleted(family):
    run, child = family
    kept = Signal.objects.create(run=run, kind="signal", name="kept", created_at=run.created_at)
    for _ in range(3):
        Signal.objects.create(run=child, kind="signal", name="late", state="missed", created_at=run.created_at)
    delete_raw(child)
    retention.cleanup(batch_size=2)
    assert list(Signal.objects.all()) == [kept]
