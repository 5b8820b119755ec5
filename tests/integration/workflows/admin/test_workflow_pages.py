"""The workflows that the code declares, with what their runs do."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_ai.automation.workflows.admin import statistics
from django_ai.automation.workflows.core import complete, engine, step, workflow
from django_ai.automation.workflows.models import StepExecution, WorkflowRun

LIST = "/admin/django_ai_workflows/workflow/"


def figures():
    return statistics.figures(timezone.now(), "default")


def line(response, name="parcel"):
    return next(item for item in response.context["lines"] if item.name == name)


def test_each_workflow_is_listed_with_its_runs(runs, chief):
    response = chief.get(LIST)
    found = line(response)
    assert [(status, count) for status, count, _ in found.counts] == [
        ("running", "1"),
        ("suspended", "3"),
        ("failed", "1"),
    ]
    assert (found.lately.ended, found.lately.failed, found.lately.failure_rate) == (3, 1, "33%")
    body = response.content.decode()
    assert "?workflow=parcel&amp;status=failed" in body
    assert "signal delivered" in body


def test_a_workflow_has_a_page_with_its_graph_and_its_steps(runs, chief):
    response = chief.get(line(chief.get(LIST)).address)
    assert b'<svg class="wf-graph"' in response.content
    steps = {item.name: item for item in response.context["steps"]}
    assert list(steps) == ["pack", "ask", "file", "lose"]
    assert steps["pack"].lately.count == 4
    assert (steps["file"].lately.count, steps["file"].lately.failed) == (2, 1)
    assert (steps["ask"].waiting, steps["ask"].wait.count, steps["lose"].lately) == (1, 3, None)


def test_versions_are_shown_side_by_side(chief, workflows):
    @workflow("versioned", version="1")
    class Old:
        @step(start=True)
        def before(self):
            return complete()

    @workflow("versioned", version="2")
    class New:
        @step(start=True)
        def after(self):
            return complete()

    found = line(chief.get(LIST), "versioned")
    assert found.versions == ["1", "2"]
    assert [item.name for item in chief.get(found.address).context["steps"]] == ["after"]
    assert [item.name for item in chief.get(found.address, {"version": "1"}).context["steps"]] == ["before"]


def test_a_name_with_any_letters_has_a_page(chief, workflows):
    @workflow("odd/näme:with_all ?")
    class Odd:
        @step(start=True)
        def work(self):
            return complete()

    assert chief.get(line(chief.get(LIST), "odd/näme:with_all ?").address).status_code == 200
    assert chief.get(f"{LIST}unknown/change/").status_code == 404


def test_what_is_longer_ago_than_an_hour_does_not_count(runs):
    StepExecution.objects.update(created_at=timezone.now() - timedelta(hours=2))
    WorkflowRun.objects.update(finished_at=timezone.now() - timedelta(hours=2))
    assert figures().lately["parcel"].ended == 0


def test_a_full_sample_says_how_far_back_it_reaches(runs, monkeypatch):
    first = StepExecution.objects.order_by("pk").first()
    StepExecution.objects.filter(pk=first.pk).update(created_at=timezone.now() - timedelta(minutes=10))
    monkeypatch.setattr(statistics, "SAMPLE", StepExecution.objects.count())
    assert figures().span == timedelta(minutes=10)


def test_counts_end_at_the_cap_and_say_so(runs, monkeypatch):
    monkeypatch.setattr(statistics, "CAP", 2)
    found = figures()
    assert found.active["parcel"]["suspended"] == 2
    assert found.capped == {"suspended"}


def test_a_spread_is_that_of_its_durations():
    spread = statistics.Spread.of([timedelta(seconds=second) for second in range(1, 101)])
    assert (spread.count, spread.p50, spread.p95, spread.longest) == (100, "51 s", "1 min 36 s", timedelta(seconds=100))
    assert statistics.Spread.of([timedelta(seconds=5)]).p95 == "5 s"


def test_the_list_takes_as_many_queries_however_many_runs_there_are(runs, chief, parcel, workflows):
    chief.get(LIST)
    with CaptureQueriesContext(connection) as few:
        chief.get(LIST)
    for _ in range(20):
        engine.start(parcel)
    workflows.drain()
    with CaptureQueriesContext(connection) as many:
        chief.get(LIST)
    assert len(few) == len(many) <= 12


@pytest.mark.parametrize(("permission", "status"), [("view", 200), ("change", 200), ("retry", 403)])
def test_who_may_see_runs_may_see_workflows(client_of, permission, status):
    assert client_of(permission).get(LIST).status_code == status


def test_workflows_are_in_the_index_for_those_who_may_see_them(client_of):
    assert LIST in client_of("view").get("/admin/").content.decode()
    assert LIST not in client_of().get("/admin/").content.decode()
