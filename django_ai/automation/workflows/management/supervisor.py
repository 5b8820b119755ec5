"""The parent of a server that reloads itself: starts it anew, and gives it time to stop."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from django.utils import autoreload

# With this code Django's reloader ends a process that is to be started anew.
RELOAD = 3


def is_child() -> bool:
    """Say whether this process is the one that serves and that the parent starts anew."""
    return os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) == "true"


def supervise() -> int:
    """Run this program as a child until it ends for good, and return its exit code.

    Django's own parent kills its child at a Ctrl-C, in the middle of a step; this one passes the
    signal on and waits.
    """
    environment = {**os.environ, autoreload.DJANGO_AUTORELOAD_ENV: "true"}
    with _passing_on() as passing_on:
        code = RELOAD
        while code == RELOAD and not passing_on.stopping:
            # close_fds=False as in Django: a socket that was handed to this process reaches the child.
            command = autoreload.get_child_arguments()
            passing_on.child = subprocess.Popen(command, env=environment, close_fds=False)  # noqa: S603
            code = passing_on.child.wait()
    return code


class _Stop:
    """Hands the request to stop to the child that runs now."""

    def __init__(self) -> None:
        self.child: subprocess.Popen[bytes] | None = None
        self.stopping = False

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        self.stopping = True
        if self.child:
            self.child.terminate()


@contextmanager
def _passing_on() -> Iterator[_Stop]:
    stop = _Stop()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stop) for number in signals]
    try:
        yield stop
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
