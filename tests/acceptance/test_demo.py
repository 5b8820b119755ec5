"""`make demo` shows the shop at work, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.acceptance.processes import EXAMPLE, PATIENCE, family_of, in_background, wait_until
from tests.servers.process import HOST, free_port

# The demonstration with no time for anything.
HASTY = "import sys, demo; demo.PATIENCE = 0; sys.exit(demo.main())"


@pytest.fixture
def marker():
    return f"TEST_{uuid.uuid4().hex}"


@pytest.fixture
def env(tmp_path, marker):
    return {**os.environ, marker: "1", "TMPDIR": str(tmp_path), "PYTHONPATH": str(EXAMPLE)}


def run(*command: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], env=env, capture_output=True, text=True, timeout=2 * PATIENCE, check=False
    )


def nothing_is_left(marker: str, directory: Path) -> bool:
    return family_of(marker) == [] and list(directory.glob("django-ai-demo-*")) == []


def test_once_it_ends_well_when_all_that_needs_no_person_has_completed(env, marker, tmp_path):
    done = run(str(EXAMPLE / "demo.py"), "--once", "--port", str(free_port()), env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert "14 of 19 have ended, 0 move, 5 wait for a person" in done.stdout
    assert "Reminder sent: a day before the appointment" in done.stdout
    assert nothing_is_left(marker, tmp_path)


def test_once_it_says_what_has_not_completed(env, marker, tmp_path):
    done = run("-c", HASTY, "--once", "--port", str(free_port()), env=env)
    assert done.returncode == 1
    assert "After 0 s not completed: " in done.stderr
    assert "Ada orders notebooks" in done.stderr
    assert "Traceback (most recent call last)" not in done.stderr.partition("The end of its log")[0]
    assert nothing_is_left(marker, tmp_path)


def test_a_port_that_was_asked_for_and_is_taken_is_said_so(env):
    port = free_port()
    with socket.create_server((HOST, port)):
        done = run(str(EXAMPLE / "demo.py"), "--once", "--port", str(port), env=env)
    assert done.returncode == 1
    assert done.stderr == f"Port {port} is taken by another program: choose another with PORT=…, or leave it out.\n"


@pytest.mark.parametrize(
    ("how", "code", "started"),
    [
        (signal.SIGINT, 0, list),
        (signal.SIGTERM, 143, list),
        (signal.SIGINT, 0, lambda command: in_background(*command)),
    ],
    ids=["Ctrl-C", "SIGTERM", "SIGINT in the background"],
)
def test_it_stops_all_of_it_when_it_is_asked_to(env, marker, tmp_path, *, how, code, started):
    log = tmp_path / "output"
    command = started([sys.executable, str(EXAMPLE / "demo.py"), "--port", str(free_port())])
    with log.open("wb") as output, subprocess.Popen(command, env=env, stdout=output, stderr=output) as demo:
        wait_until(lambda: "are on their way" in log.read_text(), PATIENCE, "The demonstration starts")
        assert len(family_of(marker)) > 1
        demo.send_signal(how)
        assert demo.wait(PATIENCE) == code
    assert "Traceback" not in log.read_text()
    assert nothing_is_left(marker, tmp_path)
