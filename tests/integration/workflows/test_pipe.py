"""A second connection, whose answers are taken later: what comes while it is busy goes together."""

import os
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from django_ai.automation.workflows.core import complete, engine, step, workflow
from django_ai.automation.workflows.models import WorkflowRun
from django_ai.automation.workflows.runtime import pipe

from .racing import elsewhere

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

LOCK = 20261126


@pytest.fixture
def ours():
    connection.ensure_connection()
    ours = pipe.of_this_thread()
    yield ours
    ours.close()


@pytest.fixture
def runs():
    @workflow("renamed")
    class Renamed:
        @step(start=True)
        def begin(self):
            return complete()

    return engine.start_many(Renamed, [{}] * 4)


@contextmanager
def busy(ours):
    """Keep a statement of the pipe from being done."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        try:
            assert ours.send("SELECT pg_advisory_xact_lock(%(lock)s::bigint)", {"lock": LOCK})
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def rename(ours, run, *, if_named="renamed"):
    where = "id = %(id)s::bigint AND name = %(name)s"
    text = f"UPDATE {WorkflowRun._meta.db_table} SET name = 'other' WHERE {where} RETURNING 1"
    assert ours.send(text, {"id": run.pk, "name": if_named})


def fail(ours):
    assert ours.send("SELECT 1 / %(number)s::int", {"number": 0})


def answers(ours):
    return [ours.answer() for _ in range(ours.awaited)]


def names():
    return list(WorkflowRun.objects.order_by("pk").values_list("name", flat=True))


def transactions(runs):
    """Return how many transactions have written these rows."""
    query = WorkflowRun.objects.filter(pk__in=[run.pk for run in runs]).extra(select={"by": "xmin::text"})
    return len(set(query.values_list("by", flat=True)))


def test_an_answer_that_nobody_took_is_not_taken_for_another_ones(ours):
    assert ours.send("SELECT %(number)s::int WHERE false", {"number": 1})
    assert ours.open().send("SELECT %(number)s::int", {"number": 2})
    assert ours.answer() is True
    ours.close()
    assert ours.answer() is None
    assert not ours.send("SELECT 1", {})


def test_what_comes_while_nothing_is_under_way_is_a_transaction_by_itself(ours, runs):
    for run in runs[:2]:
        rename(ours, run)
        assert ours.answer() is True
    assert transactions(runs[:2]) == 2


def test_what_comes_while_something_is_under_way_is_one_transaction(ours, runs):
    with busy(ours):
        for run in runs[:3]:
            rename(ours, run)
        assert ours.awaited == 4
    assert answers(ours) == [True] * 4
    assert (names(), transactions(runs[:3])) == (["other"] * 3 + ["renamed"], 1)


def test_what_is_committed_is_known_before_the_answer_is_given(ours, runs):
    with busy(ours):
        rename(ours, runs[0])
        rename(ours, runs[1])
    assert ours.answer() is True
    assert ours.answer() is True
    assert elsewhere(names)[:2] == ["other"] * 2


def test_one_that_finds_nothing_does_not_keep_the_others_from_it(ours, runs):
    with busy(ours):
        rename(ours, runs[0])
        rename(ours, runs[1], if_named="somebody else's")
        rename(ours, runs[2])
    assert answers(ours) == [True, True, False, True]
    assert names() == ["other", "renamed", "other", "renamed"]


def test_of_those_that_went_together_with_one_that_failed_nothing_is_known_nor_written(ours, runs):
    with busy(ours):
        rename(ours, runs[0])
        fail(ours)
        rename(ours, runs[1])
    assert answers(ours) == [True, None, None, None]
    assert names() == ["renamed"] * 4
    rename(ours, runs[0])
    assert answers(ours) == [True]


def test_who_fails_alone_fails_nobody_else(ours, runs):
    fail(ours)
    assert ours.answer() is None
    rename(ours, runs[0])
    assert ours.answer() is True


def test_those_that_go_together_give_way_to_whoever_holds_a_run_for_long(ours, runs):
    with transaction.atomic():
        WorkflowRun.objects.select_for_update().get(pk=runs[1].pk)
        rename(ours, runs[1])  # alone, it waits
        rename(ours, runs[0])
        rename(ours, runs[2])
        assert ours.awaited == 3
    assert answers(ours) == [True, True, True]

    with busy(ours):
        rename(ours, runs[3])
        rename(ours, runs[0], if_named="other")
    with transaction.atomic():
        WorkflowRun.objects.select_for_update().get(pk=runs[3].pk)
        assert ours.answer() is True
        assert answers(ours) == [None, None]
    assert names() == ["other"] * 3 + ["renamed"]


def test_a_value_that_cannot_be_sent_does_not_cost_the_others_their_answers(ours):
    with busy(ours):
        assert ours.send("SELECT %(text)s::text", {"text": "yes"})
        assert not ours.send("SELECT %(text)s::text", {"text": "\0"})
        assert ours.send("SELECT %(text)s::text WHERE false", {"text": ""})
    assert answers(ours) == [True, True, False]


def cut():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_whose_connection_is_cut_knows_what_it_knew_before(ours, runs):
    with busy(ours):
        rename(ours, runs[0])
        rename(ours, runs[1])
    assert ours.answer() is True
    assert ours.answer() is True  # and that of the next one has come with it
    cut()
    ours.send("SELECT %(text)s::text", {"text": "lost, now or later"})
    assert ours.answer() is True
    assert answers(ours) in ([], [None])
    assert names() == ["other"] * 2 + ["renamed"] * 2


def test_whose_connection_is_cut_knows_of_nothing(ours, runs):
    with busy(ours):
        rename(ours, runs[0])
        cut()
    assert answers(ours) == [None, None]
    assert names() == ["renamed"] * 4
    assert ours.open() is ours
    rename(ours, runs[0])
    assert answers(ours) == [True]


def test_a_process_that_was_forked_has_a_pipe_of_its_own(ours, monkeypatch):
    assert pipe.of_this_thread() is ours
    monkeypatch.setattr(os, "getpid", lambda: -1)
    forked = pipe.of_this_thread()
    assert forked is not ours
    forked.close()
