"""The processes of the example shop: web, worker and beat, each as production runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.servers.process import HOST, Server, ServerFailed, runs

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "example_project"
MANAGE = EXAMPLE / "manage.py"
SETTINGS = Path(__file__).with_name("project")

# In seconds. What has not come by then will not come; it is no measure, so a busy machine has time enough.
PATIENCE = 120.0


class NotInTime(AssertionError):
    """What a test waited for did not come; the message says what, and how things stand."""


def wait_until(true: Callable[[], object], seconds: float, what: str) -> None:
    """Look again and again until `true()` holds. Raises NotInTime."""
    deadline = time.monotonic() + seconds
    while not (state := true()):
        if time.monotonic() > deadline:
            raise NotInTime(f"{what} within {seconds} s: {state!r}")
        time.sleep(0.1)


def environment(database: str, broker: str, **more: str) -> dict[str, str]:
    """Return the environment of the shop's processes."""
    path = os.pathsep.join(map(str, (SETTINGS, EXAMPLE, ROOT)))
    own = {"DATABASE_URL": database, "REDIS_URL": broker, "DJANGO_SETTINGS_MODULE": "fast_shop", "PYTHONPATH": path}
    return {**os.environ, **own, **more}


def manage(*command: str, env: Mapping[str, str]) -> None:
    """Run a command of manage.py to its end."""
    done = subprocess.run([sys.executable, str(MANAGE), *command], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"manage.py {' '.join(command)}: {done.stdout}{done.stderr}")


def family_of(marker: str) -> list[psutil.Process]:
    """Return the processes that have a variable of this name in their environment and still run."""
    return [process for process in psutil.process_iter() if runs(process) and _has_variable(process, marker)]


def _has_variable(process: psutil.Process, name: str) -> bool:
    try:
        return name in process.environ()
    except psutil.Error:
        return False


class ShopProcess(Server):
    """A process of the shop in an environment of its own, that ends by SIGTERM as in production."""

    end_signal = Server.stop_signal

    def __init__(self, env: Mapping[str, str]) -> None:
        super().__init__()
        self.env = env

    def __exit__(self, *reason: object) -> None:
        if any(reason):  # pytest shows it with the failure
            sys.stdout.write(f"----- {self.name}: {self.log.read_text(errors='replace')[-6000:]}\n")
        super().__exit__()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "env": self.env}

    def keep_running(self) -> None:
        """Start it again if it has ended, as a service manager does."""
        if self.process is not None and self.process.poll() is not None:
            self.start()

    def logged(self, text: str) -> bool:
        return text in self.log.read_text(errors="replace")


class Web(ShopProcess):
    name = "web"

    def command(self) -> list[str]:
        return [sys.executable, str(MANAGE), "runserver", f"{HOST}:{self.port}", "--noreload"]

    def answers(self) -> bool:
        try:
            return self.ask("/runs/")[0] == 200
        except OSError:
            return False

    def ask(self, path: str, data: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Get, or post JSON, and return the status and the answer."""
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(self.url + path, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _json(error.read())


def _json(body: bytes) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(body)
    except ValueError:
        return {"body": body.decode(errors="replace")}
    return data


class RunWorkflows(Web):
    """Web, worker and beat in one process, by the command for newcomers."""

    name = "runworkflows"

    def __init__(self, env: Mapping[str, str], *options: str, manage: Path = MANAGE) -> None:
        super().__init__(env)
        self.options = options
        self.manage = manage

    def command(self) -> list[str]:
        return [sys.executable, str(self.manage), "runworkflows", f"{HOST}:{self.port}", *self.options]


def in_background(*command: str) -> list[str]:
    """Return a command that runs another one as a script's background job, for which the shell ignores SIGINT."""
    return ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]


class Worker(ShopProcess):
    """A worker, which is killed when it does not end in time, as a service manager does it.

    Celery's prefork pool now and then waits for ever for a task that came in while it was told to stop. What
    is in that message is in the database, too, so nothing is lost with it.
    """

    name = "worker"
    end_patience = 60.0

    def _end(self, how: signal.Signals) -> None:
        family = self._family()
        with suppress(ServerFailed):
            super()._end(how)
        for process in family:
            with suppress(psutil.Error):
                process.kill()

    def command(self) -> list[str]:
        celery = [sys.executable, "-m", "celery", "-A", "shop", "worker", "--loglevel", "INFO"]
        return [*celery, "--pool", "prefork", "--concurrency", "2", "--hostname", f"worker-{self.port}@localhost"]

    def answers(self) -> bool:
        return self.logged(" ready.")


class Beat(ShopProcess):
    name = "beat"

    def command(self) -> list[str]:
        celery = [sys.executable, "-m", "celery", "-A", "shop", "beat", "--loglevel", "INFO"]
        return [*celery, "--schedule", str(self.directory / "schedule")]

    def answers(self) -> bool:
        return self.logged("beat: Starting")
