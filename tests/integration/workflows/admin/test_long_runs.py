"""The page of a run with a long history counts all of it, shows the newest part, and leads to the older ones."""

import re
from datetime import timedelta
from itertools import islice

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pydantic import BaseModel

from django_ai.automation.workflows.core import complete, engine, get_context, goto, step, wait, workflow
from django_ai.automation.workflows.models import PastWait, Restart, RunTag, Signal, StepExecution, WorkflowRun

from .conftest import page


@pytest.fixture
def looping():
    @workflow("looping")
    class Looping:
        class Context(BaseModel):
            count: int = 0

        @step(start=True)
        def prepare(self):
            return goto(self.ping)

        @step()
        def ping(self):
            get_context().count += 1
            return goto(self.pong)

        @step()
        def pong(self):
            return goto(self.ping) if get_context().count < 3 else wait("never", then=self.end)

        @step()
        def end(self):
            return complete()

    return Looping


@pytest.fixture
def long_run(looping, workflows):
    """A run that waits, after 2,001 visits of steps and 400 waits that its rows tell of."""
    run = engine.start(looping)
    workflows.drain()
    StepExecution.objects.filter(run=run).delete()
    now = timezone.now() - timedelta(days=1)
    ended = {"run": run, "status": "completed", "started_at": now, "created_at": now}
    names = ["prepare", *(["ping", "pong"] * 1_000)]
    visits = [StepExecution(sequence=number, step_name=name, **ended) for number, name in enumerate(names)]
    waited = {"run": run, "step_name": "pong", "kind": "signal", "outcome": "answered", "name": "s"}
    waits = [PastWait(sequence=3_000 + n, started_at=now, ended_at=now, **waited) for n in range(400)]
    StepExecution.objects.bulk_create(visits)
    PastWait.objects.bulk_create(waits)
    WorkflowRun.objects.filter(pk=run.pk).update(sequence=4_000)
    run.refresh_from_db()
    return run


def texts(body):
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def pages(client, address, section):
    """Yield the page and all that its links to older rows of a section lead to."""
    while address:
        body = client.get(address).content.decode()
        yield body
        found = re.search(rf'href="([^"]*)#{section}">Older', body)
        address = found[1].replace("&amp;", "&") if found else ""


def test_all_visits_are_counted_and_all_ways_are_drawn(chief, long_run):
    body = chief.get(page(long_run)).content.decode()
    assert re.search("2,?001 visits of steps and 400 waits have ended", texts(body))
    graph = re.search(r"<svg class=\"wf-graph\".*?</svg>", body, re.DOTALL)[0]
    assert graph.count("wf-edge-gone") == 4  # from the start, too
    assert "1000" in texts(graph)


def test_the_newest_moves_come_first(chief, long_run):
    body = chief.get(page(long_run)).content.decode()
    numbers = [int(number) for number in re.findall(r'data-key="(\d+)-(?:step|wait)"', body)]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[0] >= 3_399


def test_the_links_lead_through_the_whole_history_without_gap_or_repetition(chief, long_run):
    found = []
    for body in pages(chief, page(long_run), "wf-timeline"):
        numbers = re.findall(r'data-key="(\d+)-(?:step|wait)"', body)
        assert len(numbers) <= 110
        found += numbers
    ended = [int(number) for number in found if int(number) < 3_400]
    assert ended == [*range(3_399, 2_999, -1), *range(2_000, -1, -1)]


def test_an_older_part_shows_nothing_of_the_present_and_leads_back(chief, long_run):
    body = chief.get(f"{page(long_run)}?moves_before=100").content.decode()
    assert 'data-key="99-step"' in body
    assert 'data-key="4000-wait"' not in body
    assert ">Newest<" in body
    assert 'data-live="live/?moves_before=100"' in body
    assert (
        'data-key="99-step"'
        in chief.get(f"{page(long_run)}?moves_before=100".replace("change", "live")).content.decode()
    )


@pytest.mark.parametrize("odd", ["x", "-1", "1e5", "9" * 18, "9" * 5_00, "²", ""])
def test_an_odd_place_in_the_history_is_answered_with_a_page(chief, long_run, odd):
    for name in ("moves", "messages", "children", "tags", "restarts", "entries"):
        assert chief.get(f"{page(long_run)}?{name}_before={odd}").status_code == 200


def test_messages_children_tags_restarts_and_entries_have_pages(chief, looping, workflows):
    run = engine.start(looping)
    workflows.drain()
    now = timezone.now()
    sent = {"kind": "signal", "state": "missed", "created_at": now}
    Signal.objects.bulk_create(Signal(run_id=run.pk, name=f"message-{number}-", **sent) for number in range(250))
    RunTag.objects.bulk_create(RunTag(run=run, name=f"tag-{number}-") for number in range(50))
    children = [WorkflowRun(name="looping", current_step="ping", parent_run=run) for _ in range(120)]
    children = WorkflowRun.objects.bulk_create(children)
    Restart.objects.bulk_create(Restart(run=child, origin=run, sequence=0) for child in children)
    entry = {"user": chief.user, "content_type": ContentType.objects.get_for_model(WorkflowRun), "action_flag": CHANGE}
    LogEntry.objects.bulk_create(
        LogEntry(object_id=str(run.pk), object_repr="run", change_message=f"entry-{number}-", **entry)
        for number in range(120)
    )
    expected = {"wf-messages": ("message-", 250), "wf-log": ("entry-", 120)}
    for section, (text, count) in expected.items():
        bodies = list(islice(pages(chief, page(run), section), 10))
        assert f"of {count} " in texts(bodies[0])
        numbers = [int(number) for body in bodies for number in re.findall(rf"{text}(\d+)-", body)]
        assert list(dict.fromkeys(numbers)) == list(range(count - 1, -1, -1))
    first = chief.get(page(run)).content.decode()
    assert "20 of 50 tags" in texts(first)
    assert "50 of 120 children" in texts(first)
    assert "50 of 120 new runs" in texts(first)
    older = chief.get(f"{page(run)}?children_before={children[0].pk + 1}").content.decode()
    assert page(children[0]) in older


def test_the_number_of_statements_and_rows_does_not_grow_with_the_history(chief, long_run, looping, workflows):
    short = engine.start(looping)
    workflows.drain()
    chief.get(page(short))
    counts, sizes = [], []
    for run in (short, long_run):
        with CaptureQueriesContext(connection) as queries:
            sizes.append(len(chief.get(page(run)).content))
        counts.append(len(queries))
    assert counts[1] <= counts[0] + 1  # the messages that answered waits
    assert counts[1] <= 24
    assert sizes[1] < 400_000
