"""The shop as a child process with a fresh database, and its HTTP endpoints."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

HOST = "127.0.0.1"
USUAL_PORT = 8000
MANAGE = Path(__file__).resolve().parent.parent / "manage.py"

# Seconds until a server that does not answer, or does not stop, is given up.
START_PATIENCE = 90
STOP_PATIENCE = 20

# The shop's days pass in seconds here.
PACE = {"SHOP_DAY_SECONDS": "3", "SHOP_GATEWAY_SECONDS": "0.5"}


class DemoFailed(Exception):
    """The demonstration cannot go on; the message says why."""


class Shop:
    """Web, worker and beat of the shop in one child process; a context manager."""

    def __init__(self, port: int | None) -> None:
        self.port = choose_port(port)
        self.url = f"http://{HOST}:{self.port}"
        self._directory = tempfile.TemporaryDirectory(prefix="django-ai-demo-")
        self._log = Path(self._directory.name) / "shop.log"
        # Whatever database and broker this terminal knows are not for a demonstration.
        self._environment = {
            **os.environ,
            **PACE,
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "DATABASE_URL": f"sqlite:///{Path(self._directory.name) / 'shop.sqlite3'}",
            "REDIS_URL": "",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._migrate()
            self._process = self.manage("runworkflows", f"{HOST}:{self.port}", "--noreload")
            self._wait_until_it_answers()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the child gently, then less so, and remove its files; a second Ctrl-C is not heard."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(STOP_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._directory.cleanup()

    def runs(self) -> list[dict[str, Any]]:
        """Return all runs of the shop, oldest first."""
        runs: list[dict[str, Any]] = self._ask("/runs/")["runs"]
        return runs[::-1]

    def post(self, path: str, data: dict[str, Any]) -> dict[str, Any]:
        """Post JSON to an endpoint and return its answer."""
        return self._ask(path, json.dumps(data).encode())

    def _ask(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(self.url + path, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                data: dict[str, Any] = json.load(answer)
                return data
        except urllib.error.HTTPError as error:
            raise DemoFailed(f"{path} answered {error.code}.{self.last_words()}") from error
        except OSError as error:
            raise DemoFailed(f"The shop does not answer: {error}.{self.last_words()}") from error

    def _migrate(self) -> None:
        if self.manage("migrate", "--verbosity=0").wait():
            raise DemoFailed(f"The database could not be made.{self.last_words()}")

    def manage(self, *command: str) -> subprocess.Popen[bytes]:
        """Begin a command of the shop's manage.py."""
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, str(MANAGE), *command],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for this process, which then stops the child
            )

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_PATIENCE
        while time.monotonic() < deadline:
            if self._process and self._process.poll() is not None:
                raise DemoFailed(f"The shop ended at once.{self.last_words()}")
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
                return
            time.sleep(0.1)
        raise DemoFailed(f"The shop does not answer after {START_PATIENCE} s.{self.last_words()}")

    def last_words(self) -> str:
        """Return the end of the shop's log, for an error message."""
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return f" The end of its log:\n{text[-3000:]}" if text else ""


def choose_port(wanted: int | None) -> int:
    """Return the port that was asked for, or else the usual one, or any if that is taken."""
    if wanted is None:
        return USUAL_PORT if is_free(USUAL_PORT) else any_free_port()
    if not is_free(wanted):
        raise DemoFailed(f"Port {wanted} is taken by another program: choose another with PORT=…, or leave it out.")
    return wanted


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server does: the port of a server that has just ended is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def any_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
