"""The servers of one run of the suite: those it is told of, those that listen, or its own."""

import contextlib
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import redis

from tests.servers import claims
from tests.servers.binaries import ServerNotFound, sources
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer

LOCAL_POSTGRES = (
    "postgresql://postgres@127.0.0.1:5432/postgres",
    "postgresql://postgres:postgres@127.0.0.1:5432/postgres",
)
LOCAL_REDIS = "redis://127.0.0.1:6379/0"


@dataclass
class Servers:
    """What was found; `close` gives back what was claimed and ends what was started."""

    database: str
    broker: str | None
    notes: list[str] = field(default_factory=list)
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def close(self) -> None:
        self.stack.close()


def find() -> Servers:
    """Find or start the servers and claim a place on each, for this run alone."""
    with contextlib.ExitStack() as stack:
        database, database_note = _database(stack)
        broker, broker_note = _broker(stack)
        return Servers(database, broker, [database_note, broker_note], stack.pop_all())


def _database(stack: contextlib.ExitStack) -> tuple[str, str]:
    told = os.environ.get("DATABASE_URL")
    if told and not told.startswith("postgres"):
        return told, f"database: {_without_password(told)}"
    url, note = (told, "as told") if told else _postgres(stack)
    if url is None:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="django-ai-sqlite-"))
        return f"sqlite:///{Path(directory) / 'django_ai.sqlite3'}", f"database: SQLite ({note})"
    return stack.enter_context(claims.database_name(url)), f"database: PostgreSQL, {note}"


def _postgres(stack: contextlib.ExitStack) -> tuple[str | None, str]:
    if "local" in sources():
        for url in LOCAL_POSTGRES:
            if _may_create_databases(url):
                return url, "listening here"
    try:
        return stack.enter_context(PostgresServer()).url, "started for this run"
    except ServerNotFound as error:
        return None, str(error)


def _broker(stack: contextlib.ExitStack) -> tuple[str | None, str]:
    told = os.environ.get("REDIS_URL")
    url, note = (told, "as told") if told else _redis(stack)
    if url is None:
        return None, f"broker: memory ({note})"
    return url, f"broker: Redis, {note}"


def _redis(stack: contextlib.ExitStack) -> tuple[str | None, str]:
    if "local" in sources() and _redis_listens(LOCAL_REDIS):
        return LOCAL_REDIS, "listening here"
    try:
        return stack.enter_context(RedisServer()).url, "started for this run"
    except ServerNotFound as error:
        return None, str(error)


def _may_create_databases(url: str) -> bool:
    allowed = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            row = connection.execute(allowed).fetchone()
    except psycopg.OperationalError:
        return False
    return bool(row and row[0])


def _redis_listens(url: str) -> bool:
    with contextlib.closing(redis.Redis.from_url(url, socket_timeout=2)) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
