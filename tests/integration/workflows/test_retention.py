"""What has ended is deleted when it has been kept long enough, and nothing that is still needed."""

from datetime import timedelta
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from django_ai.automation.events import emit
from django_ai.automation.events.models import Event
from django_ai.automation.workflows import tasks
from django_ai.automation.workflows.core import (
    complete,
    engine,
    event_workflow,
    fail,
    run_subflow,
    step,
    wait,
    workflow,
)
from django_ai.automation.workflows.exceptions import DeclarationError
from django_ai.automation.workflows.models import EventBurst, RunTag, Signal, StepExecution, WorkflowRun
from django_ai.automation.workflows.runtime import inbox, retention, scheduler
from tests.app.models import Receipt

from .declared import declare_inquiry, reloaded
from .racing import elsewhere, needs

pytestmark = pytest.mark.django_db

MONTH = timedelta(days=30)


@pytest.fixture(autouse=True)
def a_month(settings):
    settings.DJANGO_AI = {"RETENTION_DAYS": 30}


def declare(name="short", body=complete, **options):
    @workflow(name, **options)
    class Short:
        @step(start=True)
        def begin(self):
            return body()


def ended(workflows, *names):
    """Run these to their end, and return them."""
    runs = [engine.start(name) for name in names]
    workflows.drain()
    return runs


def left():
    return set(WorkflowRun.objects.values_list("pk", flat=True))


def test_a_run_goes_with_all_that_belongs_to_it_when_its_time_has_come(workflows):
    declare_inquiry()
    run = engine.using(tags=["vip"]).start("inquiry")
    workflows.drain()
    engine.signal("answer", run=run)
    workflows.drain()
    workflows.advance(MONTH - timedelta(minutes=1))
    assert retention.cleanup().runs == 0
    workflows.advance(timedelta(minutes=2))
    assert retention.cleanup().runs == 1
    for model in (WorkflowRun, StepExecution, Signal, RunTag):
        assert not model.objects.exists()


def test_runs_that_have_not_ended_are_kept_however_old_they_are(workflows):
    declare_inquiry()
    waiting = engine.start("inquiry")
    workflows.drain()
    workflows.advance(10 * MONTH)
    assert retention.cleanup().runs == 0
    assert retention.cleanup(before=timezone.now() + MONTH).runs == 0
    assert left() == {waiting.pk}


@pytest.mark.parametrize("body", [complete, lambda: fail("no")])
def test_nothing_is_deleted_where_no_setting_says_so(workflows, settings, body):
    settings.DJANGO_AI = {}
    declare(body=body)
    ended(workflows, "short")
    emit("something")
    workflows.advance(100 * MONTH)
    assert retention.cleanup() == retention.Cleaned()
    assert WorkflowRun.objects.count() == Event.objects.count() == 1
    assert retention.cleanup(before=timezone.now()) == retention.Cleaned(runs=1, events=1)


def test_each_workflow_may_be_kept_for_a_time_of_its_own(workflows):
    declare("short")
    declare("brief", retention=timedelta(days=1))
    declare("for_ever", retention=timedelta.max)
    short, _, for_ever = ended(workflows, "short", "brief", "for_ever")
    workflows.advance(timedelta(days=2))
    retention.cleanup()
    assert left() == {short.pk, for_ever.pk}
    workflows.advance(MONTH)
    retention.cleanup()
    assert left() == {for_ever.pk}


@pytest.mark.parametrize("value", [30, "30 days", timedelta(0), timedelta(days=-1)])
def test_a_retention_that_is_no_positive_time_is_refused(value):
    with pytest.raises(DeclarationError, match="retention="):
        declare(retention=value)


def declare_family():
    @workflow("parent")
    class Parent:
        @step(start=True)
        def begin(self):
            return run_subflow("short", on_complete=self.wait_on)

        @step()
        def wait_on(self, subflow_result):
            return wait("answer", then=self.end)

        @step()
        def end(self):
            return complete()


def test_a_child_is_kept_as_long_as_its_parent_is_under_way(workflows):
    declare()
    declare_family()
    run = engine.start("parent")
    workflows.drain()
    workflows.advance(2 * MONTH)
    assert retention.cleanup().runs == 0
    engine.signal("answer")
    workflows.drain()
    assert retention.cleanup().runs == 1  # the child, whose time came long ago
    assert left() == {run.pk}


def test_a_parent_goes_while_the_child_that_it_gave_up_has_not_ended(workflows):
    declare_inquiry()

    @workflow("parent")
    class Parent:
        @step(start=True)
        def begin(self):
            return run_subflow("inquiry", on_complete=self.end)

        @step()
        def end(self):
            return complete()

    run = engine.start("parent")
    workflows.drain()
    child = run.child_runs.get()
    engine.cancel(run)
    WorkflowRun.objects.filter(pk=run.pk).update(finished_at=timezone.now() - 2 * MONTH)
    assert retention.cleanup().runs == 1
    assert reloaded(child).parent_run is None
    workflows.drain()
    assert reloaded(child).status == "cancelled"


def test_the_key_of_a_deleted_run_is_free_again(workflows):
    declare()
    once = engine.using(idempotency_key="order-7")
    run = once.start("short")
    workflows.advance(2 * MONTH)
    retention.cleanup()
    assert once.start("short").pk != run.pk


def test_batches_are_counted_and_can_be_stopped_between(workflows):
    declare()
    ended(workflows, *["short"] * 5)
    workflows.advance(2 * MONTH)
    assert retention.cleanup(dry_run=True).runs == 5
    assert len(left()) == 5
    seen = []
    done = retention.cleanup(batch_size=2, progress=lambda done: seen.append(done.runs), go_on=lambda: len(seen) < 2)
    assert (done.runs, seen, len(left())) == (4, [2, 4], 1)
    assert retention.cleanup().runs == 1


def test_a_run_that_is_retried_just_now_is_not_deleted(workflows):
    declare(body=lambda: fail("no", retryable=True))
    (run,) = ended(workflows, "short")
    workflows.advance(2 * MONTH)
    engine.retry(run)
    assert retention.cleanup().runs == 0


seen_by_archive = []


def archive(runs):
    seen_by_archive.append([run.pk for run in runs])
    User.objects.create(username=f"archived {len(seen_by_archive)}")
    if len(seen_by_archive) == 2:
        raise OSError("the archive is full")


def test_the_archive_gets_each_batch_in_the_transaction_that_deletes_it(workflows, settings):
    seen_by_archive.clear()
    settings.DJANGO_AI = {"RETENTION_DAYS": 30, "RETENTION_ARCHIVE": f"{__name__}.archive"}
    declare()
    runs = ended(workflows, *["short"] * 3)
    workflows.advance(2 * MONTH)
    with pytest.raises(OSError, match="the archive is full"):
        retention.cleanup(batch_size=2)
    assert seen_by_archive == [[runs[0].pk, runs[1].pk], [runs[2].pk]]
    # The second batch is still there, and nothing of its archive.
    assert left() == {runs[2].pk}
    assert set(User.objects.values_list("username", flat=True)) == {"archived 1"}
    assert retention.cleanup().runs == 1


@pytest.mark.django_db(transaction=True)
def test_a_run_that_somebody_holds_is_left_alone():
    needs("has_select_for_update_skip_locked")
    declare()
    held, _ = (engine.cancel(engine.start("short")) for _ in range(2))
    WorkflowRun.objects.update(finished_at=held.created_at - 2 * MONTH)
    with transaction.atomic():
        WorkflowRun.objects.select_for_update().get(pk=held.pk)
        assert elsewhere(retention.cleanup).runs == 1
    assert left() == {held.pk}


def test_a_run_that_a_model_of_the_project_protects_is_kept_and_keeps_no_other(workflows):
    declare()
    runs = ended(workflows, *["short"] * 3)
    Receipt.objects.create(run=runs[1])
    workflows.advance(2 * MONTH)
    assert retention.cleanup(batch_size=2) == retention.Cleaned(runs=2, kept=1)
    assert left() == {runs[1].pk}


# Events.


def test_old_events_without_runs_go_and_those_that_something_needs_stay(workflows):
    @event_workflow("placed", name="placing")
    class Placing:
        @step(start=True)
        def begin(self):
            return wait("answer")

    alone, started, waited_for, of_entity = (emit(name) for name in ("other", "placed", "burst", "entity"))
    workflows.drain()
    Event.objects.filter(pk=of_entity.pk).update(key="of an entity")
    EventBurst.objects.create(workflow="placing", key="", event_ids=[waited_for.pk], due_at=timezone.now() + 9 * MONTH)
    workflows.advance(2 * MONTH)
    young = emit("other")
    workflows.drain()
    assert retention.cleanup(dry_run=True).events == 1
    assert retention.cleanup().events == 1
    assert not Event.objects.filter(pk=alone.pk).exists()
    assert set(Event.objects.values_list("pk", flat=True)) == {
        item.pk for item in (started, waited_for, of_entity, young)
    }
    engine.signal("answer")
    workflows.advance(2 * MONTH)
    assert retention.cleanup().runs == 1
    assert not Event.objects.filter(pk=started.pk).exists()


# The task.


def test_the_periodic_task_cleans_up(workflows):
    declare()
    ended(workflows, "short")
    workflows.advance(2 * MONTH)
    tasks.cleanup()
    assert not left()


@pytest.mark.postgres
def test_what_has_ended_long_ago_is_found_by_an_index():
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        (found,) = retention._expired_runs(None, timezone.now())
        plan = found.order_by("finished_at", "id")[:500].explain()
    assert "workflow_run_finished" in plan


# What was kept for a run that has ended.


# The code of the step does not show what it may wait for, so a signal is kept.
@pytest.mark.parametrize("body", [partial(complete), partial(fail, "no")])
def test_a_signal_kept_for_a_run_that_has_ended_is_missed_and_not_looked_at_again(workflows, body):
    declare(body=body)
    run = engine.start("short")
    inbox.post_many([Signal(run_id=run.pk, kind="signal", name="answer")])
    workflows.drain()
    assert reloaded(run).status in ("completed", "failed")
    assert Signal.objects.get().state == "missed"
    assert scheduler.resend_deliveries(age=timedelta(0)) == 0


def test_a_run_that_is_retried_has_again_what_was_kept_for_it(workflows):
    broken = [True]

    @workflow("asking")
    class Asking:
        @step(start=True)
        def begin(self):
            return fail("no", retryable=True) if broken.pop() else wait("answer")

    run = engine.start("asking")
    engine.signal("answer", run=run)
    workflows.drain()
    assert (reloaded(run).status, Signal.objects.get().state) == ("failed", "missed")
    broken.append(False)
    engine.retry(run)
    workflows.drain()
    assert (reloaded(run).status, Signal.objects.get().state) == ("completed", "delivered")
