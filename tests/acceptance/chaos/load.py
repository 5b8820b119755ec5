"""A process that starts workflows at a rate, answers what they wait for, and writes down what it started."""

from __future__ import annotations

import heapq
import json
import random
import sys
import time
from collections.abc import Callable, Generator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import django

# A customer's doings: it yields the seconds until it goes on.
Doings = Generator[float, None, Any]

AWAY = 0.3  # seconds until something is tried again that the database refused


class Desk:
    """Does things to the engine as a web application does whose users try again until it worked."""

    def __init__(self, book: Path, chance: random.Random) -> None:
        self.chance = chance
        self._book = book.open("a")
        self._numbers = count(1)

    def note(self, **what: Any) -> None:
        """Write down what has certainly been done."""
        self._book.write(json.dumps(what) + "\n")
        self._book.flush()

    def start(self, kind: str, **context: Any) -> Generator[float, None, Any]:
        """Start a run, once, however often that has to be tried."""
        from django_ai.automation.workflows.core import engine

        starter = engine.using(idempotency_key=f"{kind}-{next(self._numbers)}")
        while True:
            began = time.time()
            try:
                run = starter.start(kind, **context)
            except database_errors():
                yield from self._come_back()
            else:
                self.note(run=run.pk, kind=kind, began=began, seconds=time.time() - began)
                return run

    def surely(
        self, act: Callable[[], object], done: Callable[[], bool], again: tuple[type[Exception], ...] = ()
    ) -> Doings:
        """Do something that must not be done twice: before it is tried again, see whether it was ``done``.

        ``again`` are the errors, beside the database's, that may be different the next time.
        """
        tried = False
        while True:
            try:
                if not (tried and done()):
                    tried = True
                    act()
            except again:
                yield AWAY
            except database_errors():
                yield from self._come_back()
            else:
                return

    def soon(self, least: float = 0.0, most: float = 2.0) -> float:
        return self.chance.uniform(least, most)

    def _come_back(self) -> Iterator[float]:
        from django.db import connection

        connection.close()
        yield AWAY


def database_errors() -> tuple[type[Exception], ...]:
    """Return what Django raises while the database is away."""
    from django.db import DatabaseError, InterfaceError

    return DatabaseError, InterfaceError


def attend(customers: Callable[[], Doings], seconds: float, rate: float) -> None:
    """Let ``rate`` customers a second come for ``seconds``, and stay until all have done what they came for."""
    opened = time.monotonic()
    numbers = count()
    waiting: list[tuple[float, int, Doings]] = []
    arrived = 0
    while True:
        passed = time.monotonic() - opened
        while arrived < rate * min(passed, seconds):
            heapq.heappush(waiting, (passed, next(numbers), customers()))
            arrived += 1
        if not waiting and passed >= seconds:
            return
        if waiting and waiting[0][0] <= passed:
            _, number, customer = heapq.heappop(waiting)
            pause = next(customer, None)
            if pause is not None:
                heapq.heappush(waiting, (time.monotonic() - opened + pause, number, customer))
        else:
            time.sleep(0.01)


def main(book: str, seconds: str, rate: str, seed: str, only: str = "any_customer") -> None:
    django.setup()
    from tests.acceptance.chaos import customers

    desk, customer = Desk(Path(book), random.Random(f"load {seed}")), getattr(customers, only)
    attend(lambda: customer(desk), float(seconds), float(rate))


if __name__ == "__main__":
    main(*sys.argv[1:])
