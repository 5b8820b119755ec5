"""A place of one's own on a server that others use too: a database's name, a database's number."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis

POSTGRES_LOCK = 0x646A6169  # any number that no other program locks
REDIS_KEY = "django-ai:suite:database:{}"
REDIS_CLAIM_LASTS = 6 * 3600  # seconds; a run that was killed gives its number back then


class NoDatabaseLeft(RuntimeError):
    """Every numbered database of the Redis server holds somebody's keys or another run's tests."""


@contextlib.contextmanager
def database_name(url: str) -> Iterator[str]:
    """Yield the URL with a database name that no other run on this PostgreSQL server uses now.

    The name (Django puts `test_` before it) is the same each time when runs do not overlap, so
    --reuse-db works.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        for slot in itertools.count():
            query = "SELECT pg_try_advisory_lock(%s, %s)"
            if connection.execute(query, (POSTGRES_LOCK, slot)).fetchone() == (True,):
                break
        yield with_path(url, "django_ai" if slot == 0 else f"django_ai_{slot}")


@contextlib.contextmanager
def redis_database(url: str) -> Iterator[str]:
    """Yield the URL with the number of an empty database that no other run uses; empty it after.

    Database 0 is never taken: it is where people keep what they care for.
    """
    with contextlib.closing(redis.Redis.from_url(url)) as client:
        number = _claim_number(client, url)
        try:
            yield with_path(url, str(number))
        finally:
            _empty(with_path(url, str(number)))
            client.delete(REDIS_KEY.format(number))


def _claim_number(client: redis.Redis, url: str) -> int:
    count = int(client.config_get("databases")["databases"] or 1)
    for number in range(1, count):
        key = REDIS_KEY.format(number)
        if not client.set(key, os.getpid(), nx=True, ex=REDIS_CLAIM_LASTS):
            continue
        if _size(with_path(url, str(number))) == 0:
            return number
        client.delete(key)
    raise NoDatabaseLeft(f"none of the {count} databases of the Redis server is free")


def _size(url: str) -> int:
    with contextlib.closing(redis.Redis.from_url(url)) as client:
        return int(client.dbsize())


def _empty(url: str) -> None:
    with contextlib.closing(redis.Redis.from_url(url)) as client:
        client.flushdb()


def with_path(url: str, path: str) -> str:
    """Return the URL with another path, which names the database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))
