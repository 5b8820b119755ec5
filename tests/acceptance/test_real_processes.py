"""Web, worker, beat, PostgreSQL and Redis as real processes do what the example shop promises."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from tests.acceptance.conftest import PACE, Installation
from tests.acceptance.processes import Web, wait_until
from tests.acceptance.scenes import SCENES, Scene, Story, visits

# Seconds until all of the mixed work must have ended; two idle cores need a small part of that.
PATIENCE = 600


class People:
    """The manager who approves and the customers who click on links, each asked once."""

    def __init__(self, installation: Installation, approvals: dict[str, bool]) -> None:
        self._shop = installation
        self._approvals = approvals
        self.answered: list[tuple[str, str]] = []

    def answer(self) -> None:
        for name, key in sorted(self._shop.books.asking() - set(self.answered)):
            self.answered.append((name, key))
            path, data = self._answer(name, key)
            status, answer = self._shop.web.ask(path, data)
            assert (status, answer.get("reached")) == (200, 1), answer

    def _answer(self, name: str, key: str) -> tuple[str, dict[str, Any]]:
        if name == "email_verified":
            return f"/registrations/verify/{key}/click/", {}
        return f"/orders/{key}/approval/", {"approved": self._approvals[key]}


def post_all(web: Web) -> tuple[dict[int, Story], dict[str, bool]]:
    """Post all scenes, mixed and four at a time; return what is expected of each run, and of the manager."""
    work = [(scene, data) for scene in SCENES for data in scene.posts()]
    random.Random(200).shuffle(work)

    def post(item: tuple[Scene, dict[str, Any]]) -> tuple[Scene, dict[str, Any]]:
        scene, data = item
        status, answer = web.ask(scene.path, data)
        assert status == 201, answer
        return scene, answer

    with ThreadPoolExecutor(4) as pool:
        posted = list(pool.map(post, work))
    expected = {answer["run"]: scene.story for scene, answer in posted}
    approvals = {str(answer["order"]): scene.approved for scene, answer in posted if scene.approved is not None}
    return expected, approvals


def wait_for_the_end(installation: Installation, also: Callable[[], object] = lambda: None) -> None:
    def ended() -> bool:
        also()
        return installation.books.all_ended()

    wait_until(ended, PATIENCE, "All runs end")


def test_two_hundred_mixed_workflows_complete_with_exactly_the_expected_history(installation):
    books = installation.books
    with installation.worker():
        expected, approvals = post_all(installation.web)
        assert len(expected) == 200
        people = People(installation, approvals)
        wait_for_the_end(installation, people.answer)

    assert books.stories() == expected
    assert len(people.answered) == 25 + 20
    # What the steps wrote happened exactly once.
    stock = dict(books.rows("SELECT name, stock FROM orders_product"))
    assert stock == {"Notebook": 1000 - 120, "Desk lamp": 1000 - 15, "Chair": 1000, "Workbench": 1000 - 15}
    assert books.value("SELECT count(*) FROM payment_payment") == 60 + 15 + 15 + 20
    assert books.value("SELECT count(*) FROM shipment_parcel WHERE status = 'delivered'") == 60 + 15 + 15 + 20
    assert books.value("SELECT count(*) FROM registration_account WHERE verified") == 20
    requests = "SELECT requests, count(*) FROM payment_gatewaycharge GROUP BY 1"
    assert dict(books.rows(requests)) == {1: 60 + 15 + 15 + 20, 3: 15}
    # Nothing is left over.
    assert books.value("SELECT count(*) FROM django_ai_workflows_suspension") == 0
    assert books.value("SELECT count(*) FROM django_ai_workflows_signal WHERE state != 'delivered'") == 0


def test_a_sleep_never_ends_before_its_time(installation):
    with installation.worker():
        for number in range(5):
            data = {"email": f"sleeper{number}@example.com", "item": "Chair"}
            assert installation.web.ask("/reminders/", data)[0] == 201
        wait_for_the_end(installation)
    pauses = installation.books.rows(
        "SELECT sent_at - lag(sent_at) OVER (PARTITION BY cart_id ORDER BY number)"
        " FROM reminders_reminder JOIN reminders_cart ON cart_id = reminders_cart.id WHERE email LIKE 'sleeper%%'"
    )
    slept = [pause for (pause,) in pauses if pause is not None]
    assert len(slept) == 10
    assert min(slept) >= timedelta(seconds=float(PACE["SHOP_DAY_SECONDS"]))


def test_what_is_started_while_the_broker_is_down_completes_when_it_is_back(installation):
    with installation.worker() as worker:
        installation.redis.stop()
        status, answer = installation.web.ask(
            "/payments/", {"reference": "no-broker", "amount": "1.00", "card": "tok_good"}
        )
        assert status == 201, answer
        state = "SELECT status, current_step FROM django_ai_workflows_workflowrun WHERE id = %s"
        assert installation.books.rows(state, answer["run"]) == [("running", "charge")]
        installation.redis.start()
        # A Celery worker may end when it loses Redis while it holds messages.
        wait_for_the_end(installation, worker.keep_running)
    assert installation.books.stories()[answer["run"]] == Story("payment", visits("charge", "book"))


def test_a_step_whose_worker_was_killed_runs_again_after_its_lease(installation):
    books = installation.books
    requests = "SELECT requests FROM payment_gatewaycharge WHERE key = 'killed'"
    with installation.worker(lease=2, SHOP_GATEWAY_SECONDS="600") as worker:
        data = {"reference": "killed", "amount": "1.00", "card": "tok_good"}
        _, answer = installation.web.ask("/payments/", data)
        # The gateway has noted the request and now thinks, for longer than any test lasts.
        wait_until(lambda: books.rows(requests) == [(1,)], PATIENCE, "The step runs")
        worker.kill()
    with installation.worker():
        wait_for_the_end(installation)
    assert books.stories()[answer["run"]] == Story("payment", visits("charge", "book", charge=2))
    assert books.rows(requests) == [(2,)]
    assert books.value("SELECT count(*) FROM payment_payment WHERE reference = 'killed'") == 1


def test_a_link_that_nobody_opens_is_sent_once_more_and_then_given_up(installation):
    with installation.worker(SHOP_LINK_SECONDS="0.3"):
        _, answer = installation.web.ask("/registrations/", {"name": "Nobody", "email": "nobody@example.com"})
        wait_for_the_end(installation)
    given_up = Story(
        "email_verification", (*visits("send_link", "remind", "send_link"), ("remind", "failed", 1)), "failed"
    )
    history = (*visits("verify_email", "after_verification"), ("remove_account", "failed", 1))
    assert installation.books.stories()[answer["run"]] == Story("registration", history, "failed", (given_up,))
    left = "SELECT count(*) FROM registration_account WHERE name = 'Nobody'"
    assert installation.books.value(left) == 0
