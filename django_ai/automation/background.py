"""Does what need not be waited for in a thread of the process, which gives it a moment for the rest when it ends."""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.util import Finalize
from typing import Any, Generic, TypeVar

from django.db import connections

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

# What comes within this time is done together.
TOGETHER_SECONDS = 0.005

# Whoever has left so much undone does the next one himself: a thread that cannot keep up is no use.
MOST_WAITING = 1000

# What is undone may keep a process from ending for this long.
FLUSH_SECONDS = 2.0


class Background(Generic[Item]):
    """Hands items over to a thread, which begins with the first of them, and does those together that come together.

    Args:
        do: what is done with some items, in the order in which they were taken.
    """

    def __init__(self, do: Callable[[list[Item]], object]) -> None:
        self._do = do
        # Threads do not survive a fork, and what the parent has left undone the parent does.
        self._workers: dict[int, _Worker[Item]] = {}

    def take(self, item: Item) -> bool:
        """Have something done soon; say whether it will be, for if not the caller may do it itself."""
        worker = self._worker()
        return worker is not None and worker.take(item)

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until all that was taken before is done, at most for so long; say whether it is."""
        worker = self._workers.get(os.getpid())
        return worker is None or worker.flush(seconds)

    def _worker(self) -> _Worker[Item] | None:
        worker = self._workers.get(os.getpid())
        if worker is not None and worker.has_died():
            self._workers.pop(os.getpid(), None)
            worker = None
        if worker is None and threads_run():
            new = _Worker(self._do)
            worker = self._workers.setdefault(os.getpid(), new)
            if worker is new and not worker.start():
                self._workers.pop(os.getpid(), None)
                return None
        return worker


class _Worker(Generic[Item]):
    """The thread of one process, and what waits for it."""

    def __init__(self, do: Callable[[list[Item]], object]) -> None:
        self._do = do
        # Looked up now: a server such as gunicorn puts gevent's in place when the project has long been imported.
        self._waiting: queue.SimpleQueue[Item | threading.Event] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="django-ai-background", daemon=True)

    def start(self) -> bool:
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is ending, or the system has no more threads to give
            return False
        # Unlike atexit it also has its turn where multiprocessing ends a process.
        Finalize(None, self._flush_at_exit, exitpriority=10)
        return True

    def has_died(self) -> bool:
        return self._thread.ident is not None and not self._thread.is_alive()

    def take(self, item: Item) -> bool:
        if self._waiting.qsize() >= MOST_WAITING:
            return False
        self._waiting.put(item)
        return True

    def flush(self, seconds: float) -> bool:
        if self.has_died():
            return False
        done = threading.Event()
        self._waiting.put(done)
        return done.wait(seconds)

    def _flush_at_exit(self) -> None:
        if not self.flush(FLUSH_SECONDS):
            logger.warning("The process ends before about %s messages could be sent.", self._waiting.qsize())

    def _work(self) -> None:
        while True:
            taken = [self._waiting.get()]
            _pause()
            try:
                while True:
                    taken.append(self._waiting.get_nowait())
            except queue.Empty:
                pass
            self._do_all([item for item in taken if not isinstance(item, threading.Event)])
            for item in taken:
                if isinstance(item, threading.Event):
                    item.set()

    def _do_all(self, items: list[Item]) -> None:
        try:
            if items:
                self._do(items)
            connections.close_all()  # which whoever listens to what is done may have opened
        except Exception:  # the next ones must not suffer
            logger.exception("What was left to a thread failed.")


def _pause() -> None:
    time.sleep(TOGETHER_SECONDS)


def threads_run() -> bool:
    """Say whether threads run in this process beside its requests; under uWSGI they do so only if it is told to."""
    options: Any = getattr(sys.modules.get("uwsgi"), "opt", None)
    return options is None or not {"enable-threads", "threads"}.isdisjoint(options)
