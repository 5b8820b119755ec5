"""The worst that can be done to each part, and a plan of when it is done, drawn from a seed."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import psutil
import psycopg
import redis

from tests.acceptance.chaos import ledger
from tests.acceptance.chaos.rig import LEASE, Process, Rig, Worker

P = TypeVar("P", bound=Process)

TERMINATE = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid != pg_backend_pid() AND random() < 0.5
"""


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Deed:
    """Something that was done.

    Attributes:
        victim: how the database knows the process, or the beginning of that if it is a whole family.
    """

    kind: str
    victim: str = ""
    began: datetime = field(default_factory=now)
    ended: datetime | None = None


Doing = Callable[[Rig, random.Random, Deed], None]


@dataclass(frozen=True)
class Fault:
    """A kind of deed, and how often it is done.

    Attributes:
        minutely: how often a minute, on the average; at least once in any trial.
        kills: a process dies of it.
        delays: what recovers meanwhile may have to wait longer than for a lease.
    """

    do: Doing
    minutely: float
    kills: bool = False
    delays: bool = False

    @property
    def name(self) -> str:
        return self.do.__name__


@contextmanager
def seized(processes: Sequence[P], chance: random.Random) -> Iterator[P | None]:
    """Hold one of the processes that nobody else does anything to and that runs; None where there is none."""
    for process in chance.sample(processes, len(processes)):
        if process.lock.acquire(blocking=False):
            try:
                if process.process is not None and process.process.poll() is None:
                    yield process
                    return
            finally:
                process.lock.release()
    yield None


def kill_worker(rig: Rig, chance: random.Random, deed: Deed) -> None:
    _kill(lambda: _busy_first(rig), chance, deed)


def kill_beat(rig: Rig, chance: random.Random, deed: Deed) -> None:
    _kill(lambda: rig.beats, chance, deed)


def _kill(candidates: Callable[[], Sequence[Process]], chance: random.Random, deed: Deed) -> None:
    for _ in _patiently():
        with seized(candidates(), chance) as process:
            if process is not None:
                deed.victim, deed.began = f"{process.life}:", now()
                process.kill()
                process.rise()
                return


def kill_child(rig: Rig, chance: random.Random, deed: Deed) -> None:
    for _ in _patiently():
        preforked = [worker for worker in _busy_first(rig) if worker.manner.pool == "prefork"]
        with seized(preforked, chance) as worker:
            if worker is not None and (children := _children(worker)):
                child = _busy_child(rig, worker, children) or chance.choice(children)
                deed.victim, deed.began = f"{worker.life}:{child.pid}", now()
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
                return


def _patiently() -> Iterator[int]:
    """Try for some seconds: everybody may be dead, or just starting, or in other hands."""
    for attempt in range(20):
        yield attempt
        time.sleep(0.25)


def _busy_first(rig: Rig) -> list[Worker]:
    """Return the worker alone that has claimed a step last, if it is there, for its run has something to lose."""
    claimer = ledger.last_claimer(rig.postgres.url)
    busy = [worker for worker in rig.workers if claimer.startswith(f"{worker.life}:")]
    return [worker for worker in busy if not worker.lock.locked()] or rig.workers


def _busy_child(rig: Rig, worker: Process, children: list[psutil.Process]) -> psutil.Process | None:
    claimer = ledger.last_claimer(rig.postgres.url)
    return next((child for child in children if claimer == f"{worker.life}:{child.pid}"), None)


def _children(worker: Process | None) -> list[psutil.Process]:
    try:
        return psutil.Process(worker.process.pid).children() if worker and worker.process else []
    except psutil.NoSuchProcess:
        return []


def pause_worker(rig: Rig, chance: random.Random, deed: Deed) -> None:
    with seized(rig.workers, chance) as worker:
        if worker is None:
            return
        deed.victim, deed.began = f"{worker.life}:", now()
        worker.pause()
        time.sleep(LEASE + 2)
        worker.resume()


def flush_broker(rig: Rig, chance: random.Random, deed: Deed) -> None:
    with rig.servers, contextlib.closing(redis.Redis.from_url(rig.redis.url)) as client:
        deed.began = now()
        client.flushall()


def stop_broker(rig: Rig, chance: random.Random, deed: Deed) -> None:
    with rig.servers:
        deed.began = now()
        rig.redis.stop()
        time.sleep(10)
        rig.redis.start()


def restart_postgres(rig: Rig, chance: random.Random, deed: Deed) -> None:
    with rig.servers:
        deed.began = now()
        rig.postgres.restart(rig.postgres.IMMEDIATE)


def terminate_backends(rig: Rig, chance: random.Random, deed: Deed) -> None:
    with rig.servers, psycopg.connect(rig.postgres.url) as connection:
        deed.began = now()
        connection.execute(TERMINATE)


FAULTS = (
    Fault(kill_child, 8, kills=True),
    Fault(kill_worker, 4, kills=True, delays=True),
    Fault(kill_beat, 2, kills=True),
    Fault(pause_worker, 1.5, delays=True),
    Fault(terminate_backends, 3, delays=True),
    Fault(flush_broker, 1.5, delays=True),
    Fault(restart_postgres, 0.75, delays=True),
    Fault(stop_broker, 0.4, delays=True),
)
BY_NAME = {fault.name: fault for fault in FAULTS}


def plan(seed: object, seconds: float) -> list[tuple[float, Fault]]:
    """Return what is done in a trial of so many seconds, and when: always the same for a seed."""
    chance = random.Random(f"plan {seed}")
    deeds = [
        (chance.uniform(0.05, 0.95) * seconds, fault)
        for fault in FAULTS
        for _ in range(max(1, round(fault.minutely * seconds / 60)))
    ]
    return sorted(deeds, key=lambda deed: deed[0])
