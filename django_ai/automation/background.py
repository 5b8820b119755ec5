"""Does what need not be waited for in a thread of this process, and all of it before the process ends."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from time import sleep
from typing import Generic, TypeVar

from django.db import connections

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

# What comes within this time is done together.
TOGETHER_SECONDS = 0.002

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
        self._begin_anew()
        # Threads do not survive a fork, and what the parent has left undone the parent does.
        os.register_at_fork(after_in_child=self._begin_anew)
        atexit.register(self.flush)

    def _begin_anew(self) -> None:
        self._waiting: SimpleQueue[Item | Event] = SimpleQueue()
        self._lock = Lock()
        self._thread: Thread | None = None

    def take(self, item: Item) -> bool:
        """Have something done soon; say whether it will be, for if not the caller may do it itself."""
        if self._waiting.qsize() >= MOST_WAITING or not self._has_thread():
            return False
        self._waiting.put(item)
        return True

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until all that was taken before is done, at most for so long; say whether it is."""
        if self._thread is None:
            return True
        done = Event()
        self._waiting.put(done)
        return done.wait(seconds)

    def _has_thread(self) -> bool:
        with self._lock:
            self._thread = self._thread or _started(self._work)
        return self._thread is not None

    def _work(self) -> None:
        while True:
            taken = [self._waiting.get()]
            sleep(TOGETHER_SECONDS)
            try:
                while True:
                    taken.append(self._waiting.get_nowait())
            except Empty:
                pass
            self._do_all([item for item in taken if not isinstance(item, Event)])
            for item in taken:
                if isinstance(item, Event):
                    item.set()

    def _do_all(self, items: list[Item]) -> None:
        try:
            if items:
                self._do(items)
            connections.close_all()  # which whoever listens to what is done may have opened
        except Exception:  # the next ones must not suffer
            logger.exception("What was left to a thread failed.")


def _started(work: Callable[[], None]) -> Thread | None:
    thread = Thread(target=work, name="django-ai-background", daemon=True)
    try:
        if threads_run():
            thread.start()
            return thread
    except RuntimeError:  # the interpreter is ending, or the system has no more threads to give
        pass
    return None


def threads_run() -> bool:
    """Say whether threads run in this process beside its requests; under uWSGI they do so only if it is told to."""
    uwsgi = sys.modules.get("uwsgi")
    return uwsgi is None or not {"enable-threads", "threads"}.isdisjoint(uwsgi.opt)
