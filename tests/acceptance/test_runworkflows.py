"""`manage.py runworkflows` runs everything in one process, and stops it without a trace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest

from tests.acceptance.processes import (
    EXAMPLE,
    PATIENCE,
    ROOT,
    SETTINGS,
    RunWorkflows,
    environment,
    family_of,
    in_background,
    manage,
    wait_until,
)
from tests.servers.process import HOST, free_port

# A step that would run for ten minutes, in a process that gives it a moment.
IMPATIENT = """
import sys, django
django.setup()
from django.core.management import execute_from_command_line
from django_ai.automation.workflows.management.commands import runworkflows
runworkflows.GRACE_SECONDS = 0.2
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""


@pytest.fixture
def marker():
    return f"TEST_{uuid.uuid4().hex}"


@pytest.fixture
def env(tmp_path, marker):
    """The environment of a shop with a database of its own and no broker."""
    pace = {"SHOP_DAY_SECONDS": "0.2", "SHOP_GATEWAY_SECONDS": "0.01"}
    env = environment(f"sqlite:///{tmp_path / 'shop.sqlite3'}", "", **pace, **{marker: "1"})
    manage("migrate", "--verbosity=0", env=env)
    return env


def ship(shop: RunWorkflows, reference: str) -> int:
    status, answer = shop.ask("/shipments/", {"reference": reference, "recipient": "Ann"})
    assert status == 201, answer
    return answer["run"]


def run_ends(shop: RunWorkflows, run: int) -> None:
    wait_until(lambda: shop.ask(f"/runs/{run}/")[1]["status"] == "completed", PATIENCE, f"Run {run} completes")


def end(shop: RunWorkflows, how: signal.Signals, *, group: bool = False) -> int:
    assert shop.process is not None
    (os.killpg if group else os.kill)(shop.process.pid, how)
    return shop.process.wait(PATIENCE)


@pytest.mark.parametrize("options", [(), ("--noreload",)], ids=["reloading", "noreload"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_workflows_and_stops_without_leaving_a_process(env, marker, how, options):
    with RunWorkflows(env, *options) as shop:
        run_ends(shop, ship(shop, "sample"))
        assert shop.logged("memory://")
        assert shop.logged("SQLite")
        assert family_of(marker) != []
        # A terminal sends Ctrl-C to all processes that it shows.
        assert end(shop, how, group=how is signal.SIGINT) == 0
        assert family_of(marker) == []
        assert not shop.logged("Traceback")


@pytest.mark.parametrize("options", [(), ("--noreload",)], ids=["reloading", "noreload"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_background_job_of_a_script_stops_too(env, marker, how, options):
    class BackgroundJob(RunWorkflows):
        def command(self) -> list[str]:
            return in_background(*super().command())

    with BackgroundJob(env, *options) as shop:
        assert end(shop, how) == 0
        assert family_of(marker) == []


def test_a_changed_file_restarts_web_worker_and_beat(env, tmp_path, marker):
    example = tmp_path / "example"
    shutil.copytree(EXAMPLE, example, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3*"))
    env["PYTHONPATH"] = env["PYTHONPATH"].replace(str(EXAMPLE), str(example))

    with RunWorkflows(env, manage=example / "manage.py") as shop:
        assert shop.process is not None
        parent = psutil.Process(shop.process.pid)
        before = parent.children()
        # What was started before the restart sleeps through it.
        asleep = ship(shop, "before")

        def replaced() -> bool:
            # Again and again: a change before the reloader's first look at the files is none to it.
            os.utime(example / "shipment" / "workflows.py")
            return parent.children() not in ([], before)

        wait_until(replaced, PATIENCE, "The child is replaced")
        wait_until(shop.answers, PATIENCE, "The shop answers again")
        run_ends(shop, asleep)
        run_ends(shop, ship(shop, "after"))
        assert end(shop, signal.SIGTERM) == 0
        assert family_of(marker) == []


def test_a_step_that_does_not_end_is_abandoned(env, marker):
    class Impatient(RunWorkflows):
        def command(self) -> list[str]:
            return [sys.executable, "-c", IMPATIENT, *super().command()[2:]]

    with Impatient({**env, "SHOP_GATEWAY_SECONDS": "600"}, "--noreload") as shop:
        shop.ask("/payments/", {"reference": "slow", "amount": "1.00", "card": "tok_good"})
        wait_until(lambda: shop.ask("/runs/1/")[1]["attempt"] == 1, PATIENCE, "The step runs")
        assert end(shop, signal.SIGTERM) == 0
        assert shop.logged("was abandoned; it runs again after its lease")
        assert family_of(marker) == []


def test_it_uses_the_broker_that_is_configured(env, own_redis):
    with RunWorkflows({**env, "REDIS_URL": own_redis.url}, "--noreload") as shop:
        run_ends(shop, ship(shop, "by-redis"))
        assert shop.logged(own_redis.url)
        own_redis.restart()
        run_ends(shop, ship(shop, "after-its-restart"))
        assert end(shop, signal.SIGTERM) == 0


def refused(*command: str, env: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *command], env=env, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_project_without_a_celery_app_is_told_how_to_write_one(env):
    path = os.pathsep.join((str(SETTINGS), str(ROOT)))
    bare = {**env, "DJANGO_SETTINGS_MODULE": "no_celery", "PYTHONPATH": path}
    message = refused("-m", "django", "runworkflows", "--noreload", env=bare)
    assert "Celery has no app" in message
    assert 'app.config_from_object("django.conf:settings", namespace="CELERY")' in message


@pytest.mark.parametrize(
    "command",
    [
        "runworkflows",
        "workflows list",
        "workflows show 1",
        "workflows start payment reference=x amount=1 card=y",
        "workflows signal go",
        "workflows cancel 1",
        "workflows retry 1",
        "workflows cleanup --before 2h",
    ],
)
def test_a_database_without_tables_is_told_to_migrate(env, tmp_path, command):
    empty = {**env, "DATABASE_URL": f"sqlite:///{tmp_path / 'empty.sqlite3'}"}
    assert "manage.py migrate" in refused(str(EXAMPLE / "manage.py"), *command.split(), env=empty)


def test_a_run_that_a_second_shell_starts_begins_at_the_next_tick(env):
    patient = {**env, "SHOP_DJANGO_AI": json.dumps({"RESEND_AFTER_SECONDS": 3600})}
    with RunWorkflows(patient, "--noreload"):
        start = f"start payment --wait reference=x --timeout {PATIENCE} card=tok_good amount=1"
        manage("workflows", *start.split(), env=patient)


def test_a_reader_that_ends_early_gets_no_traceback(env):
    start = "[engine.start('payment', reference=str(n), amount=1, card='x') for n in range(1500)]"
    manage("shell", "-c", f"from django_ai.automation.workflows.core import engine; {start}", env=env)
    listing = f"{sys.executable} {EXAMPLE / 'manage.py'} workflows list --limit 1500"
    done = subprocess.run(
        ["bash", "-c", f"{listing} | head -1; exit ${{PIPESTATUS[0]}}"],
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr, "WORKFLOW" in done.stdout) == (141, "", True)


def test_a_taken_port_is_said_so(env):
    port = free_port()
    with socket.create_server((HOST, port)):
        message = refused(str(Path(EXAMPLE, "manage.py")), "runworkflows", f"{HOST}:{port}", "--noreload", env=env)
    assert "port is already in use" in message


def test_the_example_has_no_faults_and_all_its_migrations(env):
    manage("check", "--fail-level=WARNING", env=env)
    manage("makemigrations", "--check", "--dry-run", env=env)
