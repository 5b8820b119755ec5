"""Signs of life, measured: beat's ticks, the scheduler's passes, and what a message waits in each queue."""

from __future__ import annotations

import logging
import os
import socket
import threading
from datetime import datetime, timedelta
from time import monotonic, sleep
from typing import Any

from django.db import Error, connections
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from ... import clock
from ...conf import settings
from ..models import Pulse
from . import dispatch, rows

logger = logging.getLogger(__name__)

BEAT = "beat"
TICK = "tick"
QUEUE = "queue:"

# A question that was not answered for this many intervals may be lost, and is asked again.
PATIENCE = 2


def stamp(name: str, **columns: Any) -> None:
    """Write down that a part lives."""
    _write(name, at=clock.now(), source=f"{socket.gethostname()}:{os.getpid()}"[:200], **columns)


def answer(queue: str, sent_at: datetime) -> None:
    """Write down that a worker took a question from this queue, and how long that had waited there."""
    waited = clock.read(rows.alias()) - sent_at
    stamp(QUEUE + queue, lag=max(waited.total_seconds(), 0.0), asked_at=None)


def ask() -> int:
    """Ask the workers of each queue for a sign of life, unless a question is on its way; return how many were asked.

    Any number of schedulers may do so at once: each queue is asked by one of them.
    """
    return sum(_ask(queue) for queue in dispatch.queues())


def _ask(queue: str) -> bool:
    now = clock.read(rows.alias())
    interval = timedelta(seconds=settings.PULSE_SECONDS)
    name = QUEUE + queue
    _ensure(name)
    idle = Q(asked_at__isnull=True) & (Q(at__isnull=True) | Q(at__lte=now - interval))
    unheard = Q(asked_at__isnull=False, sent_at__lte=now - PATIENCE * interval)
    asked = _pulses().filter(idle | unheard, pk=name).update(asked_at=Coalesce(F("asked_at"), now), sent_at=now)
    if asked:
        dispatch.question(queue, now, expires=max(60.0, 4 * settings.PULSE_SECONDS))
    return bool(asked)


class _Throttle:
    """Lets something happen once an interval in this process."""

    def __init__(self) -> None:
        self._next = 0.0

    def passes(self) -> bool:
        moment = monotonic()
        if moment < self._next:
            return False
        self._next = moment + settings.PULSE_SECONDS / 2
        return True


_throttle = _Throttle()


def after_tick() -> None:
    """Write down that a pass of the scheduler ended, and ask the workers; most ticks do nothing here."""
    if _throttle.passes():
        stamp(TICK)
        ask()


class BeatWitness:
    """Writes down, in beat's process and by a thread of its own, that beat sends its ticks.

    Beat has other tasks than ours to send: it must not wait for a database that hangs.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: tuple[int, threading.Thread] | None = None
        self._sent = 0.0

    def __call__(self, **_: Any) -> None:
        """Take note of a tick that the broker has taken."""
        self._sent = monotonic()
        with self._lock:
            # A thread does not survive a fork.
            if self._thread is None or self._thread[0] != os.getpid() or not self._thread[1].is_alive():
                thread = threading.Thread(target=self._witness, name="workflow-beat", daemon=True)
                self._thread = (os.getpid(), thread)
                thread.start()

    def _witness(self) -> None:
        while monotonic() - self._sent < settings.SILENT_AFTER_SECONDS:
            testify()
            sleep(settings.PULSE_SECONDS)


def testify() -> None:
    """Write down that beat lives, if the database is there to take it."""
    try:
        stamp(BEAT)
    except Error:
        logger.warning("Could not write down that beat ticks.", exc_info=True)
    finally:
        connections.close_all()


def _write(name: str, **columns: Any) -> None:
    if not _pulses().filter(pk=name).update(**columns):
        _ensure(name)
        _pulses().filter(pk=name).update(**columns)


def _ensure(name: str) -> None:
    if not _pulses().filter(pk=name).exists():
        _pulses().bulk_create([Pulse(name=name)], ignore_conflicts=True)


def _pulses() -> Any:
    return Pulse.objects.using(rows.alias())
