"""The workloads in absurd: tasks whose steps are checkpoints, claimed by polling PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
from absurd_sdk import Absurd

from benchmarks.marks import mark

QUEUE = "bench"
URL = os.environ["DATABASE_URL"]
POLL_SECONDS = 0.02

app = Absurd(URL, queue_name=QUEUE)


def prepare() -> None:
    """Install absurd's schema and the queue, with its own tool."""
    tool = str(Path(sys.executable).with_name("absurdctl"))
    for command in (["init"], ["create-queue", QUEUE]):
        subprocess.run([tool, *command], env={**os.environ, "ABSURD_DATABASE_URL": URL}, check=True)


@app.register_task("ten")
def ten(params: dict[str, Any], ctx: Any) -> None:
    for number in range(10):
        ctx.step(f"step-{number}", lambda number=number: {"count": number})
    mark("done", params["key"])


@app.register_task("listener")
def listener(params: dict[str, Any], ctx: Any) -> None:
    ctx.await_event(f"go-{params['key']}")
    mark("resumed", params["key"])


@app.register_task("crowd")
def crowd(params: dict[str, Any], ctx: Any) -> None:
    ctx.await_event("all")
    mark("done", params["key"])


@app.register_task("sleeper")
def sleeper(params: dict[str, Any], ctx: Any) -> None:
    ctx.step("fall asleep", lambda: mark("asleep", params["key"]))
    ctx.sleep_for("rest", params["seconds"])
    mark("awake", params["key"])


@app.register_task("parent")
def parent(params: dict[str, Any], ctx: Any) -> None:
    for number in range(params["children"]):
        key = f"{params['key']}-{number}"
        ctx.step(f"start-{number}", lambda key=key: str(app.spawn("child", {"key": key})["task_id"]))
        # To wait for the task's result would hold the worker, and wants a second queue with another.
        ctx.await_event(f"ended-{key}")
    mark("done", params["key"])


@app.register_task("child")
def child(params: dict[str, Any], ctx: Any) -> None:
    ctx.step("work", lambda: {"count": 1})
    ctx.emit_event(f"ended-{params['key']}")


class Client:
    """Spawns tasks by the client, counts them in absurd's tables."""

    def __init__(self) -> None:
        self.connection = psycopg.connect(URL, autocommit=True)

    def start(self, workflow: str, key: str, **params: Any) -> str:
        return app.spawn(workflow, {"key": key, **params}, queue=QUEUE)["task_id"]

    def is_completed(self, run: str) -> bool:
        found = app.fetch_task_result(run)
        return found is not None and found.state == "completed"

    def unfinished(self) -> int:
        ended = "('completed', 'failed', 'cancelled')"
        return self._number(f"SELECT count(*) FROM absurd.t_{QUEUE} WHERE state NOT IN {ended}")

    def waiting(self) -> int:
        return self._number(f"SELECT count(*) FROM absurd.w_{QUEUE}")

    def signal(self, run: str, key: str) -> None:
        app.emit_event(f"go-{key}", {})

    def broadcast(self) -> None:
        app.emit_event("all", {})

    def _number(self, query: str) -> int:
        row = self.connection.execute(query).fetchone()
        assert row
        return int(row[0])


if __name__ == "__main__":
    app.start_worker(poll_interval=POLL_SECONDS)
