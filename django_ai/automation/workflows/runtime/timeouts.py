"""Steps that run for too long are broken off, in whichever thread they run."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from typing import Any, TypeVar

from django.db import connections

from .. import logs
from ..exceptions import StaleClaim, StepTimedOut

logger = logging.getLogger(__name__)

Value = TypeVar("Value")

# For this long a step that was interrupted may unwind; then its attempt is settled without it.
GRACE_SECONDS = 5.0

# A signal interrupts what blocks the main thread, as a sleep or a socket; other threads have no such thing.
_ALARM = getattr(signal, "SIGALRM", None)


class StepInterrupted(BaseException):
    """Breaks a step off; no Exception, so that ``except Exception`` in the step lets it pass."""


def run(function: Callable[[], Value], timeout: timedelta | None, give_up: Callable[[StepTimedOut], object]) -> Value:
    """Call ``function`` and return what it returns, unless it runs for longer than ``timeout``.

    Args:
        function: the step's code.
        timeout: None is no limit.
        give_up: called in another thread when the function does not let itself be interrupted: it settles
            the attempt with this error, and what the function returns in the end is discarded.

    Raises:
        StepTimedOut: it was interrupted, whatever it made of that.
        StaleClaim: ``give_up`` was called.
    """
    if timeout is None:
        return function()
    limit = Limit(timeout, give_up)
    cause: BaseException | None = None
    value: Any = None
    try:
        limit.begin()
        value = function()
        limit.end()
    except BaseException as error:  # noqa: BLE001 - it is raised again below
        cause = error
        try:
            limit.end()
        except StepInterrupted:  # it comes once at most, so now nothing keeps this from its end
            limit.end()
    if limit.interrupted:
        raise limit.fault() from cause
    if cause is not None:
        raise cause
    return value  # type: ignore[no-any-return]


class Limit:
    """The time that one call has, in the thread that makes it."""

    def __init__(self, timeout: timedelta, give_up: Callable[[StepTimedOut], object]) -> None:
        self.timeout = timeout
        self.interrupted = False
        self.lines = logs.running.get()
        self.due = monotonic() + timeout.total_seconds()
        self._give_up = give_up
        self._given_up = False
        # Not before begin() is over: whoever is interrupted inside may keep a lock for ever.
        self._active = False
        self._lock = threading.Lock()
        self._thread = threading.get_ident()
        self._by_signal = _ALARM is not None and threading.current_thread() is threading.main_thread()
        self._handler: Any = None

    def begin(self) -> None:
        """Let the time run."""
        if self._by_signal and _ALARM is not None:
            self._handler = signal.signal(_ALARM, self._on_alarm)
        _watchdog().watch(self)
        self._active = True

    def end(self) -> None:
        """Make sure that nothing interrupts this thread any more. May be called again."""
        with self._lock:
            self._active = False
        _watchdog().forget(self)
        if self._by_signal and _ALARM is not None:
            if self._handler is not None:
                signal.signal(_ALARM, self._handler)
        elif self.interrupted:
            _let_it_come()

    def act(self) -> bool:
        """Interrupt the call, or settle without it; say whether there is more to watch. Called by the watchdog."""
        with self._lock:
            if not self._active:
                return True  # it begins, or ends and is forgotten in a moment
            if not self.interrupted:
                self.interrupted = True
                self._interrupt()
                self.due = monotonic() + GRACE_SECONDS
                return True
            self._given_up = True
        self._give_up(StepTimedOut(f"{self._too_long()} It could not be broken off."))
        return False

    def fault(self) -> Exception:
        """Return what the caller of an interrupted call is told."""
        for connection in connections.all(initialized_only=True):
            if not connection.in_atomic_block:
                connection.close()  # it may have been interrupted in the middle of a query
        if self._given_up:
            return StaleClaim()
        return StepTimedOut(f"{self._too_long()} It was broken off.")

    def _too_long(self) -> str:
        return f"The step ran for longer than its timeout of {self.timeout}."

    def _interrupt(self) -> None:
        if self._by_signal and _ALARM is not None:
            signal.pthread_kill(self._thread, _ALARM)
        elif threads_can_be_interrupted():
            interruption = ctypes.py_object(StepInterrupted)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), interruption)

    def _on_alarm(self, number: int, frame: object) -> None:
        if self._active:
            raise StepInterrupted


def threads_can_be_interrupted() -> bool:
    """Say whether an exception may be sent to another thread.

    CPython 3.11 under a tracer, as a debugger or coverage, stands still from the moment at which one is
    sent until the thread takes it, which one that is blocked never does.
    """
    return sys.version_info >= (3, 12) or sys.gettrace() is None


def _let_it_come() -> None:
    """Take an interruption that is still on its way: it reaches this thread within a few lines of Python.

    PyThreadState_SetAsyncExc() with NULL would take it back, but leaves CPython with the flag that tells
    every thread to look for one. All are slower from then on, and 3.11 under a tracer looks for ever.
    """
    try:
        for _ in range(100):
            pass
    except StepInterrupted:
        pass


class Watchdog:
    """One thread of the process that looks after all of its limits."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._limits: set[Limit] = set()
        self._thread: threading.Thread | None = None

    def watch(self, limit: Limit) -> None:
        """Act when the limit's time has come."""
        with self._changed:
            self._limits.add(limit)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="workflow-timeouts", daemon=True)
                self._thread.start()
            self._changed.notify()

    def forget(self, limit: Limit) -> None:
        """Let go of a limit whose call has ended."""
        self._limits.discard(limit)  # one operation: no lock that an interrupted thread would hold

    def _look(self) -> None:
        while True:
            with self._changed:
                dues = [limit.due for limit in self._limits.copy()]
                self._changed.wait(max(0.0, min(dues) - monotonic()) if dues else None)
            for limit in self._limits.copy():
                if limit.due <= monotonic() and not self._act(limit):
                    self.forget(limit)

    def _act(self, limit: Limit) -> bool:
        try:
            return limit.act()
        except Exception:  # the others still need this thread; the lease of this one runs out
            logger.exception("A step that timed out could not be given up.", extra=limit.lines)
            return False
        finally:
            connections.close_all()


_watchdogs: dict[int, Watchdog] = {}


def _watchdog() -> Watchdog:
    # Threads do not survive a fork: each process has a watchdog of its own.
    return _watchdogs.setdefault(os.getpid(), Watchdog())
