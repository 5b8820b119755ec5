"""The page of a run shows where it is, why, and how it came there, and nothing that is secret."""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pydantic import BaseModel, Field

from django_ai.automation.events import emit
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
from django_ai.automation.workflows.models import WorkflowRun
from django_ai.automation.workflows.statezero_action import statezero_action
from tests.app.models import Order

from .conftest import SECRET, doing, page

STATES = ["waiting", "asleep", "completed", "failed", "cancelled", "retrying", "running"]


def text(response):
    """Return what a person reads: no tags, no pictures, blanks as one."""
    body = re.sub(r"<(script|style|svg).*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


SENTENCES = {
    "waiting": "Waits for the signal “delivered” since",
    "asleep": "Sleeps since",
    "completed": "Completed at",
    "failed": "Failed at",
    "cancelled": "nobody at home",
    "retrying": "Attempt 1 of 2 failed",
    "running": "The step “pack” waits for a worker",
}
BUTTONS = {
    "waiting": {"signal", "edit", "cancel"},
    "asleep": {"signal", "wake", "edit", "cancel"},
    "completed": set(),
    "failed": {"retry", "edit"},
    "cancelled": set(),
    "retrying": {"signal", "wake", "edit", "cancel"},
    "running": {"signal", "cancel"},
}


@pytest.mark.parametrize("state", STATES)
def test_each_state_is_told_in_a_sentence_with_the_buttons_that_apply(runs, chief, state):
    response = chief.get(page(runs[state]))
    assert SENTENCES[state] in text(response)
    offered = set(re.findall(r'href="[^"]*/do/(\w+)/"', response.content.decode()))
    assert offered == BUTTONS[state]


@pytest.mark.parametrize("state", STATES)
def test_no_secret_is_on_the_page_or_in_a_form(runs, chief, state):
    run = runs[state]
    pages = [page(run), page(run).replace("change/", "live/"), doing(run, "edit"), doing(run, "signal")]
    for address in pages:
        assert SECRET not in chief.get(address, follow=True).content.decode()


def test_what_is_not_secret_is_shown(runs, chief):
    told = text(chief.get(page(runs["waiting"])))
    for part in ("Main Street", "express", "key-1", "pack", "packed", "••••••••", "50 %"):
        assert part in told


def test_the_errors_of_failed_attempts_are_shown_without_secrets(runs, chief):
    told = text(chief.get(page(runs["retrying"])))
    assert "ValueError: no such address; the password is ••••••••" in told
    assert "Traceback (most recent call last)" in told
    assert "in pack" in told
    assert "runtime/worker.py" not in told


def test_a_secret_that_has_changed_since_is_not_told_by_an_old_error(runs, chief, workflows):
    run = runs["retrying"]
    engine.edit(run, password="another-secret", address="Main Street")
    engine.wake(run)
    workflows.drain()
    told = text(chief.get(page(run)))
    assert "no such address; the password is ••••••••" in told
    assert SECRET not in chief.get(page(run)).content.decode()


def test_of_a_run_whose_code_is_gone_no_value_is_shown(runs, chief):
    WorkflowRun.objects.update(name="gone")
    told = text(chief.get(page(runs["waiting"])))
    assert "no workflow of this name" in told
    assert "Main Street" not in told


def test_the_way_taken_is_marked_in_the_graph(runs, chief):
    svg = re.search(r"<svg class=\"wf-graph\".*?</svg>", chief.get(page(runs["failed"])).content.decode(), re.DOTALL)[0]
    assert svg.count("wf-node--done") == 2  # pack and ask
    assert svg.count("wf-node--failed") == 1
    assert svg.count("wf-edge-gone") == 3


def test_the_page_takes_as_many_queries_however_long_the_history_is(chief, workflows):
    @workflow("looping")
    class Looping:
        class Context(BaseModel):
            count: int = 0
            most: int

        @step(start=True)
        def turn(self):
            get_context().count += 1
            return goto(self.turn) if get_context().count < get_context().most else self.rest()

        def rest(self):
            return sleep(5, then=self.end) if get_context().count < 100 else complete()

        @step()
        def end(self):
            return wait("never" if get_context().count else "something")

    short, long = engine.start(Looping, most=2), engine.start(Looping, most=60)
    workflows.advance(timedelta(minutes=1))
    for _ in range(20):
        engine.signal("something", {"count": 1}, run=long)
    chief.get(page(short))
    counts = []
    for run in (short, long):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert chief.get(page(run)).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 18


def test_a_family_is_shown_as_a_tree(chief, workflows):
    @workflow("leaf")
    class Leaf:
        @step(start=True)
        def work(self):
            return wait("never")

    @workflow("branch")
    class Branch:
        @step(start=True)
        def work(self):
            return run_subflow(Leaf, on_complete=self.end)

        @step()
        def end(self):
            return complete()

    @workflow("root")
    class Root:
        @step(start=True)
        def work(self):
            return run_subflow(Branch, on_complete=self.end)

        @step()
        def end(self):
            return complete()

    root = engine.start(Root)
    workflows.drain()
    branch = WorkflowRun.objects.get(parent_run=root)
    leaf = WorkflowRun.objects.get(parent_run=branch)
    told = chief.get(page(branch)).content.decode()
    assert told.index(page(root)) < told.index("this run") < told.index(page(leaf))


def test_the_event_that_started_a_run_and_its_row_are_linked(chief, workflows):
    @event_workflow("order_placed")
    class Placed:
        class Context(BaseModel):
            order_id: int = Field(0, json_schema_extra={"model": "auth.Group"})

        @classmethod
        def create_context(cls, event=None):
            return cls.Context(order_id=event.entity.pk)

        @step(start=True)
        def work(self):
            return complete()

    order = Order.objects.create(number="1")
    workflows.drain()
    run = WorkflowRun.objects.get()
    told = chief.get(page(run)).content.decode()
    assert f"/admin/django_ai_events/event/{run.triggered_by_event_id}/change/" in told
    assert f"order_placed of testapp.order #{order.pk}" in text(chief.get(page(run))).lower()
    assert f"/admin/auth/group/{order.pk}/change/" in told
    event_page = chief.get(f"/admin/django_ai_events/event/{run.triggered_by_event_id}/change/").content.decode()
    assert page(run) in event_page


def test_an_event_that_a_run_waited_for_is_linked(chief, workflows):
    @workflow("waiting")
    class Waiting:
        @step(start=True)
        def work(self):
            return wait.for_event("bell")

        @step()
        def end(self):
            return complete()

    run = engine.start(Waiting)
    workflows.drain()
    event = emit("bell")
    workflows.drain()
    assert f"/admin/django_ai_events/event/{event.pk}/change/" in chief.get(page(run)).content.decode()


def test_the_form_that_a_run_waits_for_is_on_the_page_for_those_who_may_change_runs(chief, client_of, workflows):
    @workflow("asking")
    class Asking:
        @statezero_action(name="answer_it")
        @step(start=True)
        def ask(self, text: str):
            return complete()

    run = engine.start(Asking)
    workflows.drain()
    assert f'<workflow-run run-id="{run.pk}"' in chief.get(page(run)).content.decode()
    assert "<workflow-run" not in client_of("view").get(page(run)).content.decode()


def test_what_people_did_is_shown_with_their_names(runs, chief):
    chief.post(doing(runs["waiting"], "cancel"), {"reason": "no stock"})
    told = text(chief.get(page(runs["waiting"])))
    assert "What people did" in told
    assert "chief Cancelled: no stock" in told
    assert LogEntry.objects.get().user == chief.user


def test_the_page_is_answered_anew_only_when_the_run_has_moved(runs, chief, workflows):
    live = page(runs["waiting"]).replace("change/", "live/")
    first = chief.get(live)
    assert (first.status_code, b'id="wf-timeline"' in first.content) == (200, True)
    assert chief.get(live, headers={"If-None-Match": first["ETag"]}).status_code == 304
    engine.signal("delivered", run=runs["waiting"])
    workflows.drain()
    assert chief.get(live, headers={"If-None-Match": first["ETag"]}).status_code == 200


def test_a_run_that_does_not_exist_is_not_found(chief):
    for address in ("999999/change/", "nonsense/change/", "999999/live/", "999999/do/retry/"):
        assert chief.get(f"/admin/django_ai_workflows/workflowrun/{address}").status_code == 404


def test_what_users_wrote_is_shown_as_text(chief, parcel, workflows):
    run = engine.using(tags=["<b>"]).start(parcel, address="<script>alert(1)</script>")
    workflows.drain()
    assert "<script>alert" not in chief.get(page(run)).content.decode()


def test_the_page_needs_no_inline_script_or_style(runs, chief):
    ours = chief.get(page(runs["failed"]).replace("change/", "live/")).content.decode()
    assert not re.search(r"<style|style=|<script(?![^>]*src)|\son\w+=", ours)
