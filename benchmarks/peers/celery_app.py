"""The workloads as bare Celery tasks that call one another: nothing durable, the cost of the hop alone."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

from benchmarks.marks import mark

app = Celery("bench", broker=os.environ["REDIS_URL"])
app.conf.update(
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "1")),
)


def prepare() -> None:
    """Need nothing."""


@app.task(name="ten")
def ten(key: str, left: int = 10) -> None:
    if left > 1:
        ten.delay(key, left - 1)
    else:
        mark("done", key)


@app.task(name="resumed")
def resumed(key: str) -> None:
    mark("resumed", key)


@app.task(name="sleeper")
def sleeper(key: str, seconds: float) -> None:
    mark("asleep", key)
    awake.apply_async((key,), countdown=seconds)


@app.task(name="awake")
def awake(key: str) -> None:
    mark("awake", key)


class Client:
    """Sends the first task of a chain; nobody records its end, so the last task's mark is taken for it."""

    tasks = {"ten": ten, "sleeper": sleeper}

    def start(self, workflow: str, key: str, **params: Any) -> None:
        if workflow in self.tasks:  # a listener is a task that is sent when the signal comes
            self.tasks[workflow].delay(key, **params)

    def is_completed(self, run: object) -> bool:
        return True

    def unfinished(self) -> int:
        return 0

    def waiting(self) -> int:
        return 1

    def signal(self, run: object, key: str) -> None:
        resumed.delay(key)
