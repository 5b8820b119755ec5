"""A run as a front end reads it, once and again when it has moved."""

import asyncio
import threading

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection, connections
from django.test import AsyncClient

from django_ai.automation import broker
from django_ai.automation.workflows.core import complete, engine, step, workflow
from django_ai.automation.workflows.http import views, watch
from django_ai.automation.workflows.http.watch import _Watch
from django_ai.automation.workflows.models import WorkflowRun
from django_ai.automation.workflows.statezero_action import statezero_action

from .conftest import GOOD


def test_a_run_is_read_as_its_current_step_display(forms, review):
    assert forms.get(f"runs/{review.pk}/").json() == review.current_step_display
    forms.post("submit_review", review, **GOOD)
    review.refresh_from_db()
    assert forms.get(f"runs/{review.pk}/").json() == review.current_step_display
    assert review.current_step_display["step_type"] == "automated", "an ended run shows no form"


def test_a_failed_run_shows_no_form(forms, review):
    engine.cancel(review)
    display = forms.get(f"runs/{review.pk}/").json()
    assert (display["status"], display["step_type"], display["step_display"]) == ("cancelled", "automated", {})


def test_a_run_that_has_not_moved_is_not_sent_again(forms, review):
    first = forms.get(f"runs/{review.pk}/")
    again = forms.get(f"runs/{review.pk}/", **{"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    forms.post("submit_review", review, **GOOD)
    moved = forms.get(f"runs/{review.pk}/", **{"If-None-Match": first["ETag"]})
    assert (moved.status_code, moved.json()["status"]) == (200, "completed")


def test_nobody_may_cache_a_run_for_others(forms, review):
    assert forms.get(f"runs/{review.pk}/")["Cache-Control"] == "private, no-cache"


def test_a_run_cannot_be_changed_there(forms, review):
    assert forms.client.post(f"{forms.base}runs/{review.pk}/", {}).status_code == 405


def test_a_server_with_one_thread_a_request_holds_none(forms, review):
    first = forms.get(f"runs/{review.pk}/")
    held = forms.get(f"runs/{review.pk}/", **{"If-None-Match": first["ETag"], "Prefer": "wait=20"})
    assert held.status_code == 304
    assert "Preference-Applied" not in held


@pytest.fixture
def asked(transactional_db, monkeypatch):
    """A run that waits for a form, in real time: an event loop does not turn while the clock stands still."""
    monkeypatch.setattr(broker, "publisher", lambda *args, **options: None)

    @workflow("asking")
    class Asking:
        @statezero_action(name="asked")
        @step(start=True)
        def ask(self):
            return complete()

    return engine.start(Asking)


@pytest.fixture
def hasty(monkeypatch):
    """A server that looks at once."""
    monkeypatch.setattr("django_ai.automation.workflows.http.watch.LOOK_EVERY", 0.001)


async def until_held():
    """Return when the server holds a request."""
    while not getattr(watch._watches.get(asyncio.get_running_loop()), "waiting", None):
        await asyncio.sleep(0.001)


def converse(scenario):
    """Run a scenario as an ASGI server would, and close what its thread opened."""

    async def conversation():
        try:
            return await scenario(AsyncClient())
        finally:
            await sync_to_async(connections.close_all)()

    return asyncio.run(conversation())


def test_under_asgi_a_request_is_held_until_the_run_moves(asked, hasty):
    async def scenario(client):
        path = f"/forms/runs/{asked.pk}/"
        first = await client.get(path)
        headers = {"If-None-Match": first["ETag"], "Prefer": "wait=20"}
        held = asyncio.create_task(client.get(path, headers=headers))
        await until_held()
        assert not held.done()
        await sync_to_async(engine.cancel)(asked.pk)
        return await held

    response = converse(scenario)
    assert (response.status_code, response["Preference-Applied"]) == (200, "wait=20")
    assert response.json()["status"] == "cancelled"


def test_a_held_request_ends_when_its_time_is_up(asked, hasty, monkeypatch):
    monkeypatch.setattr("django_ai.automation.workflows.http.views.LONGEST_HOLD", 0.01)

    async def scenario(client):
        first = await client.get(f"/forms/runs/{asked.pk}/")
        headers = {"If-None-Match": first["ETag"], "Prefer": "wait=20"}
        return await client.get(f"/forms/runs/{asked.pk}/", headers=headers)

    assert converse(scenario).status_code == 304


def test_a_server_that_holds_enough_requests_lets_the_next_one_poll(asked, monkeypatch):
    monkeypatch.setattr("django_ai.automation.workflows.http.watch.MOST_HELD", 0)

    async def scenario(client):
        first = await client.get(f"/forms/runs/{asked.pk}/")
        headers = {"If-None-Match": first["ETag"], "Prefer": "wait=20"}
        return await client.get(f"/forms/runs/{asked.pk}/", headers=headers)

    response = converse(scenario)
    assert (response.status_code, "Preference-Applied" in response) == (304, False)


def test_a_request_that_comes_while_others_are_looked_at_is_held_too(monkeypatch, hasty):
    came = threading.Event()
    looks = []

    def states(run_ids):
        looks.append(run_ids)
        if len(looks) == 1:
            assert came.wait(60)
        return dict.fromkeys(run_ids, "1-suspended")

    monkeypatch.setattr(watch, "_states", states)

    async def scenario():
        requests = _Watch()
        first = asyncio.create_task(requests.moves(1, "1-suspended", 10))
        while not looks:
            await asyncio.sleep(0)
        second = asyncio.create_task(requests.moves(2, "1-suspended", 10))
        await asyncio.sleep(0)
        came.set()
        while len(looks) < 3:
            await asyncio.sleep(0)
        assert not first.done()
        assert not second.done()
        for held in (first, second):
            held.cancel()
        await asyncio.wait([first, second])

    asyncio.run(scenario())
    assert looks[:2] == [{1}, {1, 2}]


def test_a_database_that_is_away_for_a_moment_ends_no_held_request(asked, hasty, monkeypatch):
    away = iter([OperationalError("away")])

    class Flaky:
        @property
        def objects(self):
            for error in away:
                raise error
            return WorkflowRun.objects

    monkeypatch.setattr(watch, "WorkflowRun", Flaky())

    async def scenario(client):
        first = await client.get(f"/forms/runs/{asked.pk}/")
        headers = {"If-None-Match": first["ETag"], "Prefer": "wait=20"}
        held = asyncio.create_task(client.get(f"/forms/runs/{asked.pk}/", headers=headers))
        await until_held()
        await sync_to_async(engine.cancel)(asked.pk)
        return await held

    assert converse(scenario).status_code == 200
    assert next(away, None) is None


def test_of_many_held_requests_a_few_are_answered_at_once(asked, hasty, monkeypatch):
    """All wait for one run, which moves: each answer takes a connection, of which the database has so many."""
    present, most, lock = [0], [0], threading.Lock()
    answer = views.RunView.get

    def counted(self, request, run_id):
        with lock:
            present[0] += 1
            most[0] = max(most[0], present[0])
        try:
            return answer(self, request, run_id)
        finally:
            with lock:
                present[0] -= 1

    async def scenario(client):
        path = f"/forms/runs/{asked.pk}/"
        first = await client.get(path)
        headers = {"If-None-Match": first["ETag"], "Prefer": "wait=20"}
        held = [asyncio.create_task(client.get(path, headers=headers)) for _ in range(40)]
        while len(getattr(watch._watches.get(asyncio.get_running_loop()), "waiting", ())) < 40:
            await asyncio.sleep(0.001)
        monkeypatch.setattr(views.RunView, "get", counted)
        await sync_to_async(engine.cancel)(asked.pk)
        return await asyncio.gather(*held)

    answers = converse(scenario)
    assert {response.json()["status"] for response in answers} == {"cancelled"}
    assert 0 < most[0] <= watch.MOST_ANSWERED


def test_an_answer_gives_its_connection_back(asked):
    async def scenario(client):
        used = await watch.answered(lambda: engine.cancel(asked.pk) and connection.connection)
        return used, await sync_to_async(lambda: connection.connection)()

    used, left = converse(scenario)
    assert used is not None
    assert left is None or connection.vendor == "sqlite"
