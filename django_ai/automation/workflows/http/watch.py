"""Requests that are held until their run moves: one task and one connection look for all of a process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.db import Error, connections
from django.http import HttpResponse

from ..models import WorkflowRun
from ..runtime import rows

logger = logging.getLogger(__name__)

# How often the runs of the held requests are looked at, in seconds.
LOOK_EVERY = 0.5

# A held request still keeps a thread of the server, though an idle one: more than this are not held.
MOST_HELD = 1000


# The most requests that a process answers at once: each answer takes a connection when many runs move together.
MOST_ANSWERED = 8


def state_of(sequence: int, status: str) -> str:
    """Return what tells one state of a run from the next."""
    return f"{sequence}-{status}"


async def moves(run_id: int, state: str, seconds: float) -> bool | None:
    """Wait until a run is no longer in this state; False when the time is up, None where too many wait.

    The request's own connection is given back meanwhile. Cancelling the call, as a server does whose
    client has gone, ends the wait at once.

    Args:
        run_id: the run.
        state: where it was when it was last read, by ``state_of``.
        seconds: how long to wait at most.
    """
    watch = _watches.setdefault(asyncio.get_running_loop(), _Watch())
    if len(watch.waiting) >= MOST_HELD:
        return None
    return await watch.moves(run_id, state, seconds)


async def answered(answer: Callable[[], HttpResponse]) -> HttpResponse:
    """Return an answer that needs the database, in its turn, and give its connection back.

    Invariant: under one event loop at most ``MOST_ANSWERED`` connections are taken by answers.
    """
    turns = _turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(MOST_ANSWERED))
    async with turns:
        return await sync_to_async(_alone)(answer)


def _alone(answer: Callable[[], HttpResponse]) -> HttpResponse:
    try:
        return answer()
    finally:
        _give_connections_back()


class _Watch:
    """The held requests of one event loop. Its task lives, and holds its connection, while there are any."""

    def __init__(self) -> None:
        self.waiting: dict[asyncio.Future[None], tuple[int, str]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def moves(self, run_id: int, state: str, seconds: float) -> bool:
        moved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting[moved] = (run_id, state)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            async with asyncio.timeout(seconds):
                await moved
        except TimeoutError:
            return False
        finally:
            del self.waiting[moved]
        return True

    async def _look(self) -> None:
        # A thread of its own, whose connection is not any request's.
        thread = ThreadPoolExecutor(1, thread_name_prefix="held-requests")
        loop = asyncio.get_running_loop()
        try:
            while self.waiting:
                run_ids = {run_id for run_id, _ in self.waiting.values()}
                self._tell(await loop.run_in_executor(thread, partial(_states, run_ids)))
                await asyncio.sleep(LOOK_EVERY)
        finally:
            self._looking = None
            thread.submit(connections.close_all)
            thread.shutdown(wait=False)

    def _tell(self, states: Mapping[int, str | None]) -> None:
        for moved, (run_id, state) in self.waiting.items():
            # Who has come since the look began is told by the next.
            if run_id in states and states[run_id] != state and not moved.done():
                moved.set_result(None)


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = WeakKeyDictionary()
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def _states(run_ids: set[int]) -> dict[int, str | None]:
    """Return where these runs are now, None for one that is gone; nothing where the database does not say."""
    try:
        runs = WorkflowRun.objects.using(rows.alias()).filter(pk__in=run_ids)
        found = list(runs.values_list("pk", "sequence", "status"))
    except Error as error:  # the database may be away for a moment; the next look tries again
        logger.warning("Could not look at the runs of %s held requests: %s", len(run_ids), error)
        connections.close_all()
        return {}
    states = {run_id: state_of(sequence, status) for run_id, sequence, status in found}
    return {run_id: states.get(run_id) for run_id in run_ids}


def _give_connections_back() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
