"""The list of runs finds any run, in a fixed number of queries, and without reading all of them."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_ai.automation.workflows.admin import bounds, searching
from django_ai.automation.workflows.core import engine
from django_ai.automation.workflows.models import Suspension, WorkflowRun

from .conftest import LIST, SECRET


def listed(response):
    """Return the numbers of the runs on the page."""
    return {int(number) for number in re.findall(r"/workflowrun/(\d+)/change/", response.content.decode())}


@pytest.fixture
def found(runs, chief):
    """Return a function that gives the names of the runs that a query of the list shows."""
    names = {run.pk: name for name, run in runs.items()}

    def find(**query):
        response = chief.get(LIST, query)
        assert response.status_code == 200, response
        return {names[number] for number in listed(response)}

    return find


ALL = {"waiting", "asleep", "completed", "failed", "cancelled", "retrying", "running"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ALL),
        ({"status": "failed"}, {"failed"}),
        ({"failure": "fail"}, {"failed"}),
        ({"failure": "exception"}, set()),
        ({"workflow": "parcel"}, ALL),
        ({"workflow": "other"}, set()),
        ({"workflow": "parcel", "version": "1"}, ALL),
        ({"workflow": "parcel", "version": "2"}, set()),
        ({"workflow": "parcel", "step": "pack"}, {"asleep", "retrying", "running"}),
        ({"waits": "signal"}, {"waiting"}),
        ({"waits": "timer"}, {"asleep"}),
        ({"waits": "retry"}, {"retrying"}),
        ({"stuck": "yes"}, set()),
        ({"started": "hour"}, ALL),
        ({"started": "today"}, ALL),
        ({"started": "yesterday"}, set()),
        ({"started": "older"}, set()),
        ({"reach": "all", "status": "completed"}, {"completed"}),
        ({"q": "key-1"}, {"waiting"}),
        ({"q": "express"}, {"waiting"}),
        ({"q": "tag:express"}, {"waiting"}),
        ({"q": "tag:slow"}, set()),
        ({"q": "number=3"}, {"completed"}),
        ({"q": "address=Main Street"}, {"waiting"}),
        ({"q": "address = moon "}, {"asleep"}),
        ({"q": "nothing=3"}, set()),
        ({"q": "nonsense"}, set()),
        ({"q": f"code={SECRET}"}, set()),
        ({"q": "99999999999999999999999"}, set()),
    ],
)
def test_runs_are_found(found, query, expected):
    assert found(**query) == expected


def test_the_list_marks_a_run_that_ended_by_fail(runs, chief):
    assert chief.get(LIST).content.decode().count("ended by fail()") == 1


def test_a_run_is_found_by_its_number(runs, found):
    assert found(q=str(runs["failed"].pk)) == found(q=f"#{runs['failed'].pk}") == {"failed"}


def test_runs_that_should_have_moved_are_found(runs, found):
    early = timezone.now() - timezone.timedelta(hours=1)
    Suspension.objects.filter(pk=runs["asleep"].pk).update(due_at=early)
    WorkflowRun.objects.filter(pk=runs["running"].pk).update(updated_at=early)
    assert found(stuck="yes") == {"asleep", "running"}


def test_runs_are_found_by_when_they_were_started(runs, found):
    day = timezone.timedelta(days=1)
    for name, days in (("waiting", 40), ("asleep", 3), ("completed", 1)):
        WorkflowRun.objects.filter(pk=runs[name].pk).update(created_at=timezone.now() - days * day)
    assert found(started="older") == {"waiting"}
    assert found(started="week") == ALL - {"waiting"}
    assert found(started="yesterday") == {"completed"}


def test_dates_are_found_among_gaps(db, parcel, workflows):
    now = timezone.now()
    runs = [engine.start(parcel) for _ in range(40)]
    for age, run in enumerate(reversed(runs)):
        WorkflowRun.objects.filter(pk=run.pk).update(created_at=now - timezone.timedelta(days=age))
    WorkflowRun.objects.filter(pk__in=[run.pk for run in runs[::3]]).delete()
    for days in (0.5, 7.5, 20.5, 100):
        since = now - timezone.timedelta(days=days)
        expected = set(WorkflowRun.objects.filter(created_at__gte=since).values_list("pk", flat=True))
        found = bounds.started_between(WorkflowRun.objects.all(), since, None)
        assert set(found.values_list("pk", flat=True)) == expected
        found = bounds.started_between(WorkflowRun.objects.all(), None, since)
        assert not set(found.values_list("pk", flat=True)) & expected


def test_each_run_is_shown_with_what_one_needs_to_know(runs, chief):
    told = chief.get(LIST).content.decode()
    for part in ("delivered", "until", "Suspended", "1 of 2", "nobody at home", "express", ">parcel "):
        assert part in told
    assert SECRET not in told


def test_counts_by_status_are_on_top(runs, chief):
    counts = {str(status): count for status, count, _ in chief.get(LIST).context["counts"]}
    assert counts == {"running": "1", "suspended": "3", "completed": "1", "failed": "1", "cancelled": "1"}


def test_counts_end_at_the_cap(runs, chief, monkeypatch):
    monkeypatch.setattr(bounds, "CAP", 2)
    response = chief.get(LIST)
    assert {str(status): count for status, count, _ in response.context["counts"]}["suspended"] == "2+"
    assert response.context["cl"].result_count == 2


def test_the_list_takes_as_many_queries_however_many_runs_it_shows(runs, chief, parcel):
    chief.get(LIST)
    with CaptureQueriesContext(connection) as few:
        chief.get(LIST)
    for number in range(30):
        engine.using(tags=[f"tag-{number}"]).start(parcel)
    with CaptureQueriesContext(connection) as many:
        chief.get(LIST)
    assert len(few) == len(many) <= 16


def test_far_runs_are_left_out_of_slow_filters_until_they_are_asked_for(runs, found, monkeypatch):
    monkeypatch.setattr(bounds, "WINDOW", 1)
    monkeypatch.setattr(searching, "CONTEXT_WINDOW", 1)
    assert found(workflow="parcel", step="pack") == {"running"}
    assert found(workflow="parcel", step="pack", reach="all") == {"asleep", "retrying", "running"}
    assert found(q="number=3") == set()
    assert found(q="number=3", reach="all") == {"completed"}


def test_who_may_not_see_runs_has_no_list(runs, client_of):
    assert client_of().get(LIST).status_code == 403


# --- on PostgreSQL, with enough rows that reading all of them would be chosen where nothing forbids it ---


@pytest.fixture
def many(db, parcel, monkeypatch):
    """Twenty thousand runs, most completed."""
    monkeypatch.setattr(bounds, "WINDOW", 500)
    monkeypatch.setattr(bounds, "CAP", 1_000)
    monkeypatch.setattr(searching, "CONTEXT_WINDOW", 500)
    fill(20_000)


def fill(count):
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO django_ai_workflows_workflowrun
                (name, version, status, current_step, sequence, attempt, progress, data, inputs, failures, error,
                 completion_display, trace_context, created_at, updated_at)
            SELECT 'parcel', '1',
                   CASE WHEN n %% 50 = 0 THEN 'suspended' WHEN n %% 51 = 0 THEN 'failed' ELSE 'completed' END,
                   'pack', 3, 1, 1.0, jsonb_build_object('number', n), '{}', '[]', '', '{}', '{}',
                   now() - make_interval(secs => (%s - n) * 60), now()
            FROM generate_series(1, %s) AS n
            """,
            [count, count],
        )
        cursor.execute(
            """
            INSERT INTO django_ai_workflows_suspension
                (run_id, kind, name, resumes_body, display, visit, created_at, due_at)
            SELECT id, CASE WHEN id % 7 = 0 THEN 'timer' ELSE 'signal' END, 'go', false, '{}', '{}', now(),
                   now() + interval '1 day'
            FROM django_ai_workflows_workflowrun WHERE status = 'suspended'
            """
        )
        for table in ("workflowrun", "suspension", "runtag"):
            cursor.execute(f"ANALYZE django_ai_workflows_{table}")


QUERIES = [
    {},
    {"p": "10"},
    {"status": "completed"},
    {"status": "failed"},
    {"workflow": "parcel"},
    {"workflow": "other"},
    {"workflow": "parcel", "status": "failed"},
    {"workflow": "parcel", "version": "9"},
    {"workflow": "parcel", "step": "ask"},
    {"waits": "timer"},
    {"waits": "form"},
    {"status": "suspended", "waits": "signal"},
    {"stuck": "yes"},
    {"started": "hour"},
    {"started": "week"},
    {"started": "older"},
    {"q": "77"},
    {"q": "tag:rare"},
    {"q": "number=77"},
]


@pytest.mark.postgres
@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_no_query_of_the_list_reads_all_runs(many, chief, query):
    chief.get(LIST, query)
    with CaptureQueriesContext(connection) as queries:
        assert chief.get(LIST, query).status_code == 200
    asked = [item["sql"] for item in queries if "django_ai_workflows_workflowrun" in item["sql"]]
    assert asked
    for sql in asked:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN " + sql.replace("%", "%%"))
            plan = "\n".join(line for (line,) in cursor.fetchall())
        assert "Seq Scan on django_ai_workflows_workflowrun" not in plan, f"{sql}\n{plan}"
