"""A server as a child process that a test can start, stop, kill, freeze and start again."""

import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import psutil

HOST = "127.0.0.1"
PATIENCE = 120.0  # seconds until a server that does not answer is given up; a busy machine starts one slowly


class ServerFailed(RuntimeError):
    """The server ended or did not answer; the message carries the end of its log."""


def free_port() -> int:
    """Return a port nobody listens on, outside the range that outgoing connections borrow from.

    A server that is killed and started again needs the very same port, so no client may take it.
    """
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port


class Server:
    """One server process and the directory it keeps its data in; a context manager.

    The data and the port survive `stop`, `kill` and `start`; `close` removes everything.
    """

    name = "server"
    stop_signal = signal.SIGTERM
    end_signal = signal.SIGKILL  # the quickest end that leaves no child behind
    end_patience = PATIENCE  # seconds until a server that does not end is killed
    user: int | None = None  # the numeric user the server runs as, where it must not be ours

    def __init__(self) -> None:
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix=f"django-ai-{self.name}-"))
        self.log = self.directory / "log"
        self.process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    @property
    def url(self) -> str:
        raise NotImplementedError

    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Self:
        """Start the process and return when it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                start_new_session=True,  # a Ctrl-C at the terminal is for the tests, not for it
                **self.identity(),
            )
        self._wait_until_it_answers(self.process)
        return self

    def stop(self, how: signal.Signals | None = None) -> None:
        """End the process by a signal (its gentle one by default) and wait until it is gone."""
        self._end(how or self.stop_signal)

    def kill(self) -> None:
        """Kill the process and its children with SIGKILL, as a crash does, and wait for the end."""
        family = self._family()
        _each(family, psutil.Process.kill)
        self._end(signal.SIGKILL)
        _wait_until(lambda: not any(map(runs, family)))

    def restart(self, how: signal.Signals | None = None) -> Self:
        """Stop by a signal and start again with the same data at the same port."""
        self.stop(how)
        return self.start()

    def pause(self) -> None:
        """Freeze the process and its children: connections stay open and nobody answers."""
        _each(self._family(), psutil.Process.suspend)

    def resume(self) -> None:
        """Let a frozen server go on."""
        _each(self._family(), psutil.Process.resume)

    def close(self) -> None:
        """End what runs, frozen or not, and remove the directory; safe to call again."""
        try:
            self.resume()
            self._end(self.end_signal)
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)
            atexit.unregister(self.close)

    def identity(self) -> dict[str, Any]:
        """Return the arguments that make a child process run as the server's user."""
        if self.user is None:
            return {}
        return {"user": self.user, "group": self.user, "extra_groups": []}

    def _family(self) -> list[psutil.Process]:
        if self.process is None:
            return []
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _end(self, how: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, how)
        try:
            process.wait(self.end_patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ServerFailed(f"{self.name} did not end on {how.name}{self._last_words()}") from None

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        if not _wait_until(lambda: process.poll() is not None or self.answers()):
            raise ServerFailed(f"{self.name} does not answer{self._last_words()}")
        if process.poll() is not None:
            raise ServerFailed(f"{self.name} ended at once{self._last_words()}")

    def _last_words(self) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f": {text[-2000:]}"


def runs(process: psutil.Process) -> bool:
    """Tell whether a process still does something; a zombie that nobody reaps does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _each(processes: list[psutil.Process], act: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # it may end of itself meanwhile
            act(process)


def _wait_until(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not (done := true()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return done
