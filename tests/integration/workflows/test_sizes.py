"""What a row keeps of errors is bounded, and what shows or polls runs reads only what it shows."""

import json
from datetime import datetime, timedelta, timezone
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pydantic import BaseModel, SecretStr

from django_ai.automation.workflows.core import Retry, complete, engine, fail, run_subflow, step, workflow
from django_ai.automation.workflows.exceptions import FormFailed, describe, kept
from django_ai.automation.workflows.machine.state import MOST_FAILURES, Failure, coalesce
from django_ai.automation.workflows.models import WorkflowRun
from django_ai.automation.workflows.runtime import forms, rows, scheduler
from django_ai.automation.workflows.statezero_action import statezero_action

from .declared import declare_inquiry, reloaded

pytestmark = pytest.mark.django_db

LIST = "/admin/django_ai_workflows/workflowrun/"
HUGE = "lorem " * 400_000
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)  # noqa: UP017


def test_a_short_text_is_kept_as_it_is():
    assert kept("wrong") == "wrong"


def test_of_a_long_text_the_beginning_and_the_end_are_kept(settings):
    settings.DJANGO_AI = {"MAX_ERROR_LENGTH": 100}
    text = kept("a" * 500 + "b" * 500)
    assert (text[:5], text[-5:], len(text) <= 100) == ("aaaaa", "bbbbb", True)
    assert "(960 characters are left out)" in text
    assert kept(text) == text


def failures(count, *, without=()):
    return [Failure(attempt=n, error=str(n), traceback="t", at=NOW, counts=n not in without) for n in range(1, count)]


def test_few_failures_are_all_kept():
    assert coalesce(failures(MOST_FAILURES + 1)) == tuple(failures(MOST_FAILURES + 1))


def test_of_many_failures_the_first_and_the_newest_are_kept_and_the_others_as_one():
    known = ()
    for failure in failures(1001):
        known = coalesce((*known, failure))
    assert len(known) == MOST_FAILURES
    assert (known[0].attempt, known[-1].attempt) == (1, 1000)
    assert sum(failure.attempts for failure in known) == 1000
    assert rows.numbers_of(rows.failure_data(known[1])) == "2\u2013982"
    assert (known[1].traceback, known[2].traceback) == ("", "t")


def test_failures_that_do_not_count_are_never_kept_as_one():
    known = coalesce(failures(60, without={5, 6}))
    assert [failure.attempt for failure in known if not failure.counts] == [5, 6]
    assert sum(failure.attempts for failure in known) == 59


def test_a_step_that_fails_a_hundred_times_keeps_some_of_its_failures_and_all_of_their_number(workflows):
    @workflow("stubborn", default_retry=Retry(max_attempts=100, base_delay=timedelta(0)))
    class Stubborn:
        @step(start=True)
        def only(self):
            raise ValueError("wrong")

    run = engine.start("stubborn")
    workflows.drain()
    visit = run.step_executions.get()
    assert (reloaded(run).status, reloaded(run).error, visit.attempts) == ("failed", "ValueError: wrong", 100)
    assert len(visit.failures) == MOST_FAILURES
    assert "no sign of life" not in str(visit.failures)


@workflow("verbose_child")
class VerboseChild:
    @step(start=True)
    def only(self):
        return fail(HUGE)


def raise_it():
    raise ValueError(HUGE)


def raise_a_group():
    raise ExceptionGroup("many", [ValueError(HUGE)] * 20)


@pytest.mark.parametrize("end", [raise_it, raise_a_group, lambda: fail(HUGE)])
def test_no_row_keeps_a_huge_error(workflows, end):
    @workflow("verbose", default_retry=Retry(max_attempts=3, base_delay=timedelta(0)))
    class Verbose:
        @step(start=True)
        def only(self):
            return end()

    run = engine.start("verbose")
    workflows.drain()
    visit = run.step_executions.get()
    assert reloaded(run).status == "failed"
    assert all(len(text) <= 10_000 for text in (reloaded(run).error, visit.error))
    assert len(json.dumps(visit.failures)) < 100_000


def test_a_parent_and_a_cancelled_run_get_no_huge_error_either(workflows):
    @workflow("verbose_parent")
    class VerboseParent:
        class Context(BaseModel):
            error: str = ""

        @step(start=True)
        def launch(self):
            return run_subflow(VerboseChild, on_complete=self.after)

        @step()
        def after(self, subflow_result):
            return complete(error=subflow_result.error)

    run = engine.start("verbose_parent")
    workflows.drain()
    assert 0 < len(reloaded(run).data["error"]) <= 10_000
    waiting = engine.start(declare_inquiry())
    engine.cancel(waiting, reason=HUGE)
    assert 0 < len(reloaded(waiting).error) <= 10_000


def test_half_of_a_secret_does_not_stay_where_a_text_is_cut(workflows, settings):
    lengths = []

    @workflow("cut_secret", default_retry=Retry(max_attempts=1))
    class CutSecret:
        class Context(BaseModel):
            password: SecretStr = SecretStr("correct horse battery staple")

        @step(start=True)
        def only(self):
            raise ValueError("a" * lengths[-1] + "correct horse battery staple" + "b" * 500)

    settings.DJANGO_AI = {"MAX_ERROR_LENGTH": 200}
    for before in range(60, 100, 7):
        lengths.append(before)
        run = engine.start("cut_secret")
        workflows.drain()
        said = reloaded(run).error + str(run.step_executions.get().failures)
        assert "correct" not in said
        assert "staple" not in said


def test_posts_that_fail_do_not_pile_up(workflows):
    @workflow("open_form")
    class OpenForm:
        @statezero_action(name="open")
        @step(start=True)
        def only(self, words: str):
            raise RuntimeError(words)

    run = engine.start("open_form")
    for _ in range(12):
        with pytest.raises(FormFailed) as caught:
            forms.submit(run.pk, forms.Post("open", {"words": "x" * 300_000}), lambda moved: moved.status)
    assert len(json.dumps(reloaded(run).failures)) < 300_000
    assert len(describe(caught.value)) < 20_000


# Rows that code of before has left.


@pytest.fixture
def grown(db):
    """A failed run whose error and failures have megabytes."""
    run = engine.start(declare_inquiry())
    large = HUGE[: len(HUGE) // 5]  # all of them in a packet of 16 MB, which MariaDB takes at most
    failure = {"attempt": 1, "error": large, "traceback": large, "at": NOW.isoformat()}
    WorkflowRun.objects.filter(pk=run.pk).update(status="failed", error=HUGE, failures=[failure] * 10)
    run.step_executions.create(
        sequence=0, step_name="ask", status="failed", attempts=10, error=HUGE, failures=[failure] * 10,
        started_at=NOW, created_at=NOW,
    )  # fmt: skip
    return run


@pytest.fixture
def staff(client):
    client.force_login(get_user_model().objects.create_superuser("keeper"))
    return client


@pytest.mark.parametrize("path", ["", "{}/change/", "{}/live/"])
def test_a_row_that_has_grown_huge_makes_no_huge_page(grown, staff, path):
    answer = staff.get(LIST + path.format(grown.pk))
    assert (answer.status_code, len(answer.content) < 1_000_000) == (200, True)


@pytest.mark.parametrize("command", [["list"], ["list", "--json"], ["show"], ["show", "--traceback-of-steps"]])
def test_a_row_that_has_grown_huge_makes_no_huge_output(grown, command):
    printed = StringIO()
    name, *options = command
    call_command("workflows", name, *([str(grown.pk)] if name == "show" else []), *options, stdout=printed)
    assert len(printed.getvalue()) < 1_000_000


def columns_read(queries):
    return {
        name
        for query in queries
        if query["sql"].startswith("SELECT")
        for name in ("data", "inputs", "failures", "error", "traceback")
        if f'"{name}"' in query["sql"].partition(" FROM ")[0].replace("`", '"')
    }


@pytest.mark.parametrize(
    ("path", "known"),
    [(LIST, set()), ("/forms/runs/{}/", set())],
    ids=["the list in the admin", "a poll"],
)
def test_what_may_be_large_is_not_read_where_it_is_not_shown(grown, staff, path, known):
    with CaptureQueriesContext(connection) as queries:
        assert staff.get(path.format(grown.pk)).status_code == 200
    # The list reads the beginning of an error, by an expression.
    assert columns_read([query for query in queries if "error_start" not in query["sql"]]) == known


def test_the_live_page_reads_nothing_large_while_nothing_has_moved(grown, staff):
    first = staff.get(f"{LIST}{grown.pk}/live/")
    with CaptureQueriesContext(connection) as queries:
        second = staff.get(f"{LIST}{grown.pk}/live/", headers={"If-None-Match": first["ETag"]})
    assert (second.status_code, columns_read(queries)) == (304, set())


def test_the_scheduler_reads_nothing_large(grown):
    WorkflowRun.objects.filter(pk=grown.pk).update(status="running", lease_until=NOW)
    with CaptureQueriesContext(connection) as queries:
        assert scheduler.tick().resent == 1
    assert columns_read(queries) == set()


# Runs may live in another database than users, content types and log entries.


def tables_of_others(sql):
    return [name for name in ("auth_user", "django_content_type", "django_admin_log") if name in sql]


@pytest.mark.parametrize("path", ["", "{}/change/", "{}/live/", "{}/do/cancel/", "?q=tag:x"])
def test_no_page_of_the_admin_joins_runs_with_tables_of_other_applications(staff, path):
    run = engine.using(owner=get_user_model().objects.get()).start(declare_inquiry())
    with CaptureQueriesContext(connection) as queries:
        answer = staff.get(LIST + path.format(run.pk))
        assert answer.status_code == 200
    statements = [query["sql"] for query in queries if WorkflowRun._meta.db_table in query["sql"]]
    assert [sql for sql in statements if tables_of_others(sql)] == []


def test_the_page_names_the_owner_and_one_who_is_gone(staff):
    owner = get_user_model().objects.create_user("erin")
    run = engine.using(owner=owner).start(declare_inquiry())
    assert "erin" in staff.get(f"{LIST}{run.pk}/change/").content.decode()
    number = owner.pk
    owner.delete()
    assert f"user {number}, who is gone" in staff.get(f"{LIST}{run.pk}/change/").content.decode()
