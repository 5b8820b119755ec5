"""A worker that stops and a beat that stops are found by command, probe and admin, with what to do."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.acceptance.conftest import ENGINE
from tests.acceptance.processes import MANAGE, PATIENCE, Beat, Web, Worker, environment, manage, wait_until
from tests.servers import PostgresServer, RedisServer

# Parts speak each second, and have died when they were silent for far longer than a busy machine keeps one waiting.
QUICK = {**ENGINE, "PULSE_SECONDS": 1, "SILENT_AFTER_SECONDS": 15, "MONITORING_PUBLIC": True, "METRICS": True}

ADMIN_INDEX = """
from django.contrib.auth import get_user_model
from django.test import Client
user = get_user_model().objects.get_or_create(username="chief", is_staff=True, is_superuser=True)[0]
client = Client()
client.force_login(user)
print(client.get("/admin/", headers={"host": "127.0.0.1"}).content.decode())
"""


@dataclass
class Shop:
    """The shop's processes, and those who look at them."""

    env: dict[str, str]
    web: Web
    worker: Worker
    beat: Beat

    def command(self) -> tuple[int, dict[str, Any]]:
        """Return the exit code of ``workflows health``, and its checks by name."""
        command = [sys.executable, str(MANAGE), "workflows", "health", "--json"]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        return done.returncode, {check["name"]: check for check in json.loads(done.stdout)["checks"]}

    def probe(self) -> int:
        """Return the status with which the endpoint answers."""
        return self.web.ask("/ops/health/")[0]

    def metrics(self) -> str:
        """Return what Prometheus would read."""
        with urllib.request.urlopen(f"{self.web.url}/ops/metrics/", timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    def admin(self) -> str:
        """Return the admin's index page."""
        command = [sys.executable, str(MANAGE), "shell", "-c", ADMIN_INDEX]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, check=True).stdout

    def becomes(self, status: int) -> None:
        """Wait until the probe gets this answer."""
        wait_until(lambda: self.probe() == status, PATIENCE, f"the probe gets {status}")


@pytest.fixture
def shop(own_postgres: PostgresServer, own_redis: RedisServer) -> Iterator[Shop]:
    env = environment(own_postgres.url, own_redis.url, SHOP_DJANGO_AI=json.dumps(QUICK))
    manage("migrate", "--verbosity=0", env=env)
    with ExitStack() as stack:
        web, worker, beat = (stack.enter_context(process) for process in (Web(env), Worker(env), Beat(env)))
        shop = Shop(env, web, worker, beat)
        shop.becomes(200)
        yield shop
        for process in (worker, beat):
            process.kill()


def test_what_stops_is_found_and_named_with_what_to_do(shop: Shop) -> None:
    code, checks = shop.command()
    assert (code, {check["status"] for check in checks.values()}) == (0, {"ok"})
    assert "Workflows stand still" not in shop.admin()

    shop.worker.kill()
    shop.becomes(503)
    code, checks = shop.command()
    assert code == 2
    assert checks["beat"]["status"] == "ok"
    assert checks["workers of celery"]["status"] == "fail"
    assert checks["workers of celery"]["advice"] == "start one: celery -A shop worker -Q celery."
    assert "no worker takes them from queue 'celery'" in checks["scheduler"]["advice"]

    shop.worker.start()
    shop.becomes(200)

    shop.beat.kill()
    shop.becomes(503)
    code, checks = shop.command()
    assert (code, checks["beat"]["advice"]) == (2, "Start beat: celery -A shop beat")
    # The worker lives; it is only that nobody asks it any more.
    assert checks["workers of celery"]["status"] in ("ok", "warn")
    page = shop.admin()
    assert "Workflows stand still: last pass ended" in page
    assert "celery -A shop beat" in page

    shop.beat.start()
    shop.becomes(200)
    assert "Workflows stand still" not in shop.admin()
    assert 'django_ai_queue_lag_seconds{queue="celery"}' in shop.metrics()
