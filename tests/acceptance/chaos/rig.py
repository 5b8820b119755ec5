"""The installation under test: its own PostgreSQL and Redis, workers, beats, and who starts them anew."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.acceptance.chaos import ledger
from tests.acceptance.processes import ROOT, ShopProcess
from tests.servers import PostgresServer, RedisServer

PROJECT = "tests.acceptance.chaos.project"
LEASE = 3.0
ENGINE = {
    "LEASE_SECONDS": LEASE,
    "RESEND_AFTER_SECONDS": 1,
    "TICK_SECONDS": 0.5,
    # An event whose process was killed again and again is given up, and here that is no fault of it.
    "EVENT_ATTEMPTS": 1000,
}


@dataclass(frozen=True)
class Manner:
    """How one life of a worker goes."""

    pool: str
    clock: str
    twice: bool
    steps: int

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        return cls(
            pool=chance.choice(("prefork", "prefork", "threads")),
            clock=chance.choice(("", "", "", "+1", "-1")),
            twice=chance.random() < 0.3,
            steps=chance.choice((1, 100)),
        )

    def __str__(self) -> str:
        clock = f", its clock off by {self.clock} h" if self.clock else ""
        twice = ", sends every message twice" if self.twice else ""
        return f"{self.pool}, {self.steps} steps a task{clock}{twice}"

    def environment(self) -> dict[str, str]:
        engine = json.dumps({**ENGINE, "STEPS_PER_TASK": self.steps})
        return {"CHAOS_ENGINE": engine, "CHAOS_TWICE": "1" * self.twice, "CHAOS_CLOCK": self.clock}


class Process(ShopProcess):
    """A process that is started anew whenever it has ended; whoever holds its lock does something to it."""

    def __init__(self, name: str, env: dict[str, str]) -> None:
        self.name = name
        super().__init__(env)
        self.lock = threading.Lock()
        self.lives = 0
        self._base = env

    @property
    def life(self) -> str:
        """The name of its present life, under which the database knows it."""
        return f"{self.name}.{self.lives}"

    def answers(self) -> bool:
        return True  # nobody waits until it is ready

    def last_line(self) -> str:
        return (self.log.read_text(errors="replace").splitlines() or [""])[-1]

    def rise(self, **env: str) -> None:
        """Begin a new life."""
        self.lives += 1
        self.env = {**self._base, "CHAOS_PROCESS": self.life, **env}
        self.start()


class Worker(Process):
    def __init__(self, name: str, env: dict[str, str], seed: object) -> None:
        super().__init__(name, env)
        self._chance = random.Random(f"{name} {seed}")
        self.manner = Manner("prefork", "", twice=False, steps=100)

    def command(self) -> list[str]:
        celery = [sys.executable, "-m", "celery", "-A", PROJECT, "worker", "--loglevel", "WARNING"]
        quiet = ["--without-mingle", "--without-gossip", "--without-heartbeat", "--hostname", f"{self.name}@localhost"]
        threads = self.manner.pool == "threads"
        return [*celery, *quiet, "--pool", self.manner.pool, "--concurrency", "4" if threads else "2"]

    def rise(self, **env: str) -> None:
        self.manner = Manner.drawn(self._chance)
        super().rise(**self.manner.environment(), **env)


class Beat(Process):
    def command(self) -> list[str]:
        celery = [sys.executable, "-m", "celery", "-A", PROJECT, "beat", "--loglevel", "WARNING"]
        return [*celery, "--schedule", str(self.directory / f"schedule-{self.lives}")]


class Load(Process):
    """Not one of those that are killed: it is the users."""

    def __init__(self, env: dict[str, str], book: Path, *arguments: object) -> None:
        super().__init__("load", env)
        self._arguments = [str(book), *map(str, arguments)]

    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.acceptance.chaos.load", *self._arguments]


class Rig:
    """All servers and processes of one trial."""

    def __init__(self, seed: object, workers: int = 3, beats: int = 2) -> None:
        self._stack = ExitStack()
        self.servers = threading.Lock()  # one of them is down at a time
        self.postgres = self._stack.enter_context(PostgresServer())
        self.redis = self._stack.enter_context(RedisServer())
        self.env = {
            **os.environ,
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.redis.url,
            "DJANGO_SETTINGS_MODULE": f"{PROJECT}.settings",
            "PYTHONPATH": str(ROOT),
            "CHAOS_ENGINE": json.dumps(ENGINE),
        }
        migrate = [sys.executable, "-m", "django", "migrate", "--run-syncdb", "--verbosity=0"]
        subprocess.run(migrate, env=self.env, check=True)
        ledger.prepare(self.postgres.url)
        self.workers = [Worker(f"w{number}", self.env, seed) for number in range(1, workers + 1)]
        self.beats = [Beat(f"b{number}", self.env) for number in range(1, beats + 1)]
        for process in self.processes:
            self._stack.callback(process.close)

    @property
    def processes(self) -> list[Process]:
        return [*self.workers, *self.beats]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:  # how they end is no matter here
            process.kill()
        self._stack.close()

    def customers(self, seconds: float, rate: float, seed: object, only: str = "any_customer") -> tuple[Load, Path]:
        """Return the load, which sends each message twice, and the file in which it notes what it did."""
        book = self.postgres.directory / "promises"
        load = Load({**self.env, "CHAOS_TWICE": "1"}, book, seconds, rate, seed, only)
        self._stack.callback(load.close)
        return load, book

    def dead(self) -> list[Process]:
        """Return the processes that ended without anybody's doing; they are started anew."""
        found = []
        for process in self.processes:
            if process.lock.acquire(blocking=False):
                try:
                    if process.process is None or process.process.poll() is not None:
                        if process.lives:
                            found.append(process)
                        process.rise()
                finally:
                    process.lock.release()
        return found
