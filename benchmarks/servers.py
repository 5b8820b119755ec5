"""The servers of a benchmark: a PostgreSQL that syncs every commit to disk and a Redis, started for it alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import redis

from tests.servers import PostgresServer, RedisServer
from tests.servers.claims import with_path

# What a commit costs depends on these; the report names them, and the benchmark refuses others.
DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
# Part of PostgreSQL, though not always installed with it.
METERS = ("pg_stat_statements", "pg_walinspect")
SHOWN = (*DURABLE, "server_version", "shared_buffers", "wal_level", "max_connections")


class BenchPostgres(PostgresServer):
    """PostgreSQL as it comes; where it has the extension for it, it counts statements."""

    def __init__(self) -> None:
        super().__init__(durable=True)
        self.preloaded = ""

    def command(self) -> list[str]:
        return [*super().command(), "-c", f"shared_preload_libraries={self.preloaded}"]

    def count_statements(self) -> None:
        """Start again with the extension that counts statements."""
        self.preloaded = "pg_stat_statements"
        self.restart()


class Servers:
    """Both servers, and a fresh database for each pass."""

    def __init__(self, postgres: PostgresServer, broker: RedisServer) -> None:
        self.postgres = postgres
        self.broker = broker
        self.admin = psycopg.connect(postgres.url, autocommit=True)
        self.extensions = set(METERS).intersection(available(self.admin))
        for extension in self.extensions:
            self.admin.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")

    def settings(self) -> dict[str, str]:
        """Return the settings of PostgreSQL that matter. Raises SystemExit where a commit is not synced."""
        found = {name: self._setting(name) for name in SHOWN}
        wrong = {name: found[name] for name, value in DURABLE.items() if found[name] != value}
        if wrong:
            raise SystemExit(f"PostgreSQL runs with {wrong}: figures without durable commits mean nothing.")
        return found

    def _setting(self, name: str) -> str:
        row = self.admin.execute("SELECT current_setting(%s)", (name,)).fetchone()
        assert row
        return str(row[0])

    def redis_version(self) -> str:
        """Return the version of Redis, or of Valkey."""
        with redis.Redis.from_url(self.broker.url) as client:
            facts: Any = client.info("server")
        return str(facts.get("valkey_version") or facts["redis_version"])

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        return with_path(self.postgres.url, database)

    def create(self, database: str, template: str = "template1") -> None:
        """Create a database as a copy of another."""
        self.admin.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')

    def drop(self, database: str) -> None:
        """Drop a database and whoever is connected to it."""
        self.admin.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    @contextmanager
    def copy(self, template: str) -> Iterator[str]:
        """Lend a fresh copy of a database and yield its name."""
        database = f"{template}_copy"
        self.create(database, template)
        try:
            yield database
        finally:
            self.drop(database)

    def empty_broker(self) -> None:
        """Forget all messages."""
        with redis.Redis.from_url(self.broker.url) as client:
            client.flushall()


def available(connection: psycopg.Connection[Any]) -> set[str]:
    """Return the extensions that this PostgreSQL was installed with."""
    return {name for (name,) in connection.execute("SELECT name FROM pg_available_extensions")}


@contextmanager
def running() -> Iterator[Servers]:
    """Start the servers, and end them and remove their data afterwards."""
    with BenchPostgres() as postgres, RedisServer() as broker:
        with psycopg.connect(postgres.url) as connection:
            counts = "pg_stat_statements" in available(connection)
        if counts:
            postgres.count_statements()
        servers = Servers(postgres, broker)
        try:
            yield servers
        finally:
            servers.admin.close()
