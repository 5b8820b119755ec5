"""What PostgreSQL and Django allow without an engine: one connection that commits the writes of a step."""

from __future__ import annotations

import os
import time

import psycopg

from benchmarks.peers import celery_orm

UPDATE = "UPDATE run SET step = 'next', sequence = sequence + 1, data = %(data)s, at = now() WHERE id = %(run)s"
INSERT = "INSERT INTO history (run_id, step, at) VALUES (%(run)s, 'done', now())"
RUNS = 300


def prepare() -> None:
    """Make two tables like those of a workflow engine, and those of the workload "orm"."""
    celery_orm.prepare()
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute(
            "CREATE TABLE run (id bigint PRIMARY KEY, step text, sequence int, data jsonb, at timestamptz)"
            " WITH (fillfactor = 80)"
        )
        connection.execute("CREATE TABLE history (id bigserial PRIMARY KEY, run_id bigint, step text, at timestamptz)")
        connection.execute(
            "INSERT INTO run SELECT n, 'first', 0, '{}', now() FROM generate_series(1, %s) AS n", (RUNS,)
        )


class Client:
    """Has no workflows, only commits."""

    def __init__(self) -> None:
        self.connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True, prepare_threshold=0)

    def commits(self, seconds: float, *, one_statement: bool) -> float:
        """Return how many such transactions a second this connection commits."""
        write = self._one_statement if one_statement else self._transaction
        began = time.monotonic()
        done = 0
        while time.monotonic() - began < seconds:
            write({"run": done % RUNS + 1, "data": f'{{"count": {done}}}'})
            done += 1
        return done / (time.monotonic() - began)

    def bookings(self, seconds: float) -> float:
        """Return how often a second Django commits the writes of a step of the workload "orm"."""
        keys = [f"alone-{number}" for number in range(RUNS)]
        for key in keys:
            celery_orm.open_account(key)
        began = time.monotonic()
        done = 0
        while time.monotonic() - began < seconds:
            with celery_orm.transaction.atomic():
                celery_orm.book(keys[done % RUNS], done)
            done += 1
        return done / (time.monotonic() - began)

    def _transaction(self, values: dict[str, object]) -> None:
        with self.connection.transaction():
            self.connection.execute(UPDATE, values)
            self.connection.execute(INSERT, values)

    def _one_statement(self, values: dict[str, object]) -> None:
        self.connection.execute(f"WITH moved AS ({UPDATE} RETURNING id) {INSERT}", values)
