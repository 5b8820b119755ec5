"""What is done to many runs is done in batches, each run with an entry in the log."""

import pytest
from django.contrib.admin.models import LogEntry

from django_ai.automation.workflows.admin import bulk
from django_ai.automation.workflows.core import engine
from django_ai.automation.workflows.models import WorkflowRun

from .conftest import LIST


def choose(client, action, runs, query="", **more):
    data = {"action": f"{action}_selected", "_selected_action": [run.pk for run in runs], "index": "0", **more}
    return client.post(f"{LIST}{query}", data)


def values_of(page):
    """Return what the form of a page holds."""
    form = page.context["form"]
    return {name: "" if (value := form[name].value()) is None else value for name in form.fields}


def confirm(client, response, **more):
    """Post the form of a page as a person or its script does, page after page; return how many pages and the last."""
    pages = 0
    while response.status_code == 200:
        verb = response.context["verb"].name
        response = client.post(f"{LIST}bulk/{verb}/", {**values_of(response), **more})
        pages += 1
        assert pages < 50
    return pages, client.get(response["Location"])


def statuses(runs):
    return set(WorkflowRun.objects.filter(pk__in=[run.pk for run in runs]).values_list("status", flat=True))


@pytest.fixture
def failing(parcel, workflows):
    """Seven runs that have failed."""
    runs = [engine.start(parcel, number=-1) for _ in range(7)]
    workflows.drain()
    engine.signal("delivered")
    workflows.drain()
    assert statuses(runs) == {"failed"}
    return runs


def test_the_chosen_runs_are_retried_after_a_question(failing, chief):
    asked = choose(chief, "retry", failing[:3])
    assert statuses(failing) == {"failed"}
    assert asked.context["form"].initial["total"] == "3"
    _, after = confirm(chief, asked)
    assert "3 runs retried" in after.content.decode()
    assert (statuses(failing[:3]), statuses(failing[3:])) == ({"running"}, {"failed"})
    assert LogEntry.objects.filter(user=chief.user).count() == 3


def test_all_runs_of_a_filter_are_done_in_batches_with_the_progress_shown(failing, runs, chief, monkeypatch):
    monkeypatch.setattr(bulk, "BATCH", 3)
    asked = choose(chief, "retry", failing[:1], query="?status=failed&workflow=parcel", select_across="1")
    assert asked.context["form"].initial["total"] == "8"
    first = chief.post(f"{LIST}bulk/retry/", values_of(asked))
    assert "3 of 8 retried" in first.content.decode()
    pages, after = confirm(chief, first)
    assert pages == 2
    assert "8 runs retried" in after.content.decode()
    assert statuses([*failing, runs["failed"]]) == {"running"}


def test_runs_that_came_after_the_question_are_left_alone(failing, chief, parcel, workflows):
    asked = choose(chief, "cancel", failing[:1], query="?status=suspended", select_across="1")
    later = engine.start(parcel)
    workflows.drain()
    confirm(chief, asked)
    assert statuses([later]) == {"suspended"}


def test_a_batch_ends_when_its_time_is_up(failing, chief, monkeypatch):
    monkeypatch.setattr(bulk, "SECONDS", -1)
    pages, after = confirm(chief, choose(chief, "retry", failing))
    assert pages == 7
    assert "7 runs retried" in after.content.decode()


def test_the_reason_of_a_cancellation_is_kept_with_each(runs, chief):
    chosen = [runs["waiting"], runs["asleep"]]
    confirm(chief, choose(chief, "cancel", chosen), reason="closed")
    assert set(WorkflowRun.objects.filter(error="closed")) == set(chosen)


def test_sleeping_runs_are_woken(runs, chief):
    confirm(chief, choose(chief, "wake", [runs["asleep"], runs["retrying"]]))
    assert statuses([runs["retrying"]]) == {"running"}
    assert WorkflowRun.objects.get(pk=runs["asleep"].pk).current_step == "ask"


def test_what_does_not_apply_is_told_beforehand_and_left_alone(runs, chief):
    asked = choose(chief, "retry", list(runs.values()))
    assert "6 of the selected runs cannot be retried" in asked.content.decode()
    before = statuses([runs["waiting"]])
    _, after = confirm(chief, asked)
    assert "1 run retried" in after.content.decode()
    assert statuses([runs["waiting"]]) == before


def test_runs_whose_end_was_decided_are_left_out_of_a_bulk_retry(failing, chief):
    decided, old, *others = failing
    WorkflowRun.objects.filter(pk=decided.pk).update(retryable=False)
    WorkflowRun.objects.filter(pk=old.pk).update(retryable=None, failure_kind=None)
    asked = choose(chief, "retry", failing)
    assert "1 of the selected runs cannot be retried" in asked.content.decode()
    _, after = confirm(chief, asked)
    told = after.content.decode()
    assert "5 runs retried" in told
    assert "1 could not be retried" in told
    assert "fail()" in told
    assert statuses([decided, old]) == {"failed"}
    assert statuses(others) == {"running"}


def test_a_run_that_cannot_be_moved_does_not_hold_up_the_others(failing, chief, monkeypatch):
    retry = engine.retry

    def refuse_one(run):
        engine.cancel(run) if run.pk == failing[3].pk else None
        return retry(run)

    monkeypatch.setattr(engine, "retry", refuse_one)
    _, after = confirm(chief, choose(chief, "retry", failing))
    told = after.content.decode()
    assert "6 runs retried" in told
    assert "1 could not be retried" in told


def test_actions_are_offered_to_those_who_may(runs, client_of):
    offered = client_of("view", "retry").get(LIST).content.decode()
    assert "retry_selected" in offered
    assert "cancel_selected" not in offered
    assert "_selected" not in client_of("view").get(LIST).content.decode().replace("_selected_action", "")


def test_a_question_that_was_tampered_with_does_nothing(failing, chief):
    answer = chief.post(f"{LIST}bulk/retry/", {"ids": "1 or 1=1", "below": "x", "total": ""}, follow=True)
    assert "nothing more was done" in answer.content.decode()
    assert statuses(failing) == {"failed"}


def test_more_runs_than_a_statement_can_name_are_not_taken(failing, chief):
    ids = ",".join(map(str, range(1, 300_000)))
    data = {"ids": ids, "below": 10**6, "done": 0, "refused": 0, "total": "1"}
    answer = chief.post(f"{LIST}bulk/retry/", data, follow=True)
    assert "nothing more was done" in answer.content.decode()
    assert statuses(failing) == {"failed"}
