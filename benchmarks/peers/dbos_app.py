"""The workloads in DBOS: functions whose steps are recorded, taken from a queue in PostgreSQL."""

from __future__ import annotations

import os
import signal
from typing import Any

from dbos import DBOS, DBOSClient, SendMessage
from sqlalchemy import create_engine, text

from benchmarks.marks import mark

QUEUE = "bench"
URL = os.environ["DATABASE_URL"]
POLL_SECONDS = 0.02
# A workflow that waits holds a thread, so a crowd needs as many.
THREADS = 2100


@DBOS.step()
def count(number: int) -> dict[str, int]:
    return {"count": number}


@DBOS.step()
def fall_asleep(key: str) -> None:
    mark("asleep", key)


@DBOS.workflow(name="ten")
def ten(key: str) -> None:
    for number in range(10):
        count(number)
    mark("done", key)


@DBOS.workflow(name="listener")
def listener(key: str) -> None:
    DBOS.recv("go", timeout_seconds=600)
    mark("resumed", key)


@DBOS.workflow(name="crowd")
def crowd(key: str) -> None:
    DBOS.recv("all", timeout_seconds=600)
    mark("done", key)


@DBOS.workflow(name="sleeper")
def sleeper(key: str, seconds: float) -> None:
    fall_asleep(key)
    DBOS.sleep(seconds)
    mark("awake", key)


@DBOS.workflow(name="child")
def child() -> None:
    count(1)


@DBOS.workflow(name="parent")
def parent(key: str, children: int) -> None:
    for _ in range(children):
        DBOS.start_workflow(child).get_result()
    mark("done", key)


def launch() -> None:
    """Become an executor; each has a name of its own."""
    DBOS(
        config={
            "name": "bench",
            "system_database_url": URL,
            "executor_id": f"executor-{os.getpid()}",
            "log_level": "WARNING",
            "max_executor_threads": THREADS,
        }
    )
    DBOS.launch()
    DBOS.register_queue(QUEUE, polling_interval_sec=POLL_SECONDS)


def prepare() -> None:
    """Make DBOS's tables and the queue."""
    launch()
    DBOS.destroy()


class Client:
    """Enqueues workflows from outside, as a web process does, and counts them in DBOS's tables."""

    def __init__(self) -> None:
        self.client = DBOSClient(system_database_url=URL, application_name="bench")
        engine = create_engine(URL.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
        self.connection = engine.connect()
        self.crowd: list[str] = []

    def start(self, workflow: str, key: str, **params: Any) -> str:
        run: str = self.client.enqueue({"queue_name": QUEUE, "workflow_name": workflow}, key, **params).workflow_id
        if workflow == "crowd":
            self.crowd.append(run)
        return run

    def is_completed(self, run: str) -> bool:
        return self._number("workflow_uuid = :run AND status = 'SUCCESS'", run=run) == 1

    def unfinished(self) -> int:
        return self._number("status IN ('PENDING', 'ENQUEUED', 'DELAYED')")

    def waiting(self) -> int:
        return self._number("status = 'PENDING'")

    def signal(self, run: str, key: str) -> None:
        self.client.send(run, "go", topic="go")

    def broadcast(self) -> None:
        self.client.send_bulk([SendMessage(run, "all", "all") for run in self.crowd])

    def _number(self, condition: str, **values: Any) -> int:
        query = text(f"SELECT count(*) FROM dbos.workflow_status WHERE {condition}")
        return int(self.connection.execute(query, values).scalar_one())


if __name__ == "__main__":
    launch()
    signal.pause()
