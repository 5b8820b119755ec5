"""The pytest plugin that has the servers ready before Django reads its settings."""

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.servers import PostgresServer, RedisServer, ServerNotFound, claims, found

WANTS = {"postgres": "PostgreSQL", "mariadb": "MariaDB", "redis": "Redis"}
WANT_OF = "for want of "
# Quick tests first. A browser comes last of all: its event loop stays in this thread until the end.
LAST = ("acceptance", "browser")
_notes = pytest.StashKey[list[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        _take_a_redis_database(early_config)
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or nobody would stop the servers
    servers = found.find()
    early_config.add_cleanup(servers.close)
    early_config.stash[_notes] = servers.notes
    os.environ["DATABASE_URL"] = servers.database
    if servers.broker:
        os.environ["REDIS_URL"] = servers.broker
        _take_a_redis_database(early_config)


def _take_a_redis_database(config: pytest.Config) -> None:
    if url := os.environ.get("REDIS_URL"):
        claim = claims.redis_database(url)
        os.environ["REDIS_URL"] = claim.__enter__()
        config.add_cleanup(lambda: leave(claim))


def leave(claim: contextlib.AbstractContextManager[str]) -> None:
    claim.__exit__(None, None, None)


def pytest_report_header(config: pytest.Config) -> list[str]:
    return config.stash.get(_notes, [])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = _servers_here()
    for item in items:
        if "acceptance" in item.path.parts:
            item.add_marker("acceptance")
        for marker, server in WANTS.items():
            if item.get_closest_marker(marker) and not here[marker]:
                item.add_marker(pytest.mark.skip(reason=f"{WANT_OF}{server}"))
    items.sort(key=lambda item: [directory in item.path.parts for directory in LAST[::-1]])


def _servers_here() -> dict[str, bool]:
    from django.db import connection

    return {
        "postgres": connection.vendor == "postgresql",
        "mariadb": connection.vendor == "mysql",
        "redis": "REDIS_URL" in os.environ,
    }


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = (report.longrepr[2] for report in terminalreporter.stats.get("skipped", []))
    wanted = Counter(reason.rpartition(WANT_OF)[2] for reason in reasons if WANT_OF in reason)
    if wanted:
        parts = ", ".join(f"{count} {WANT_OF}{server}" for server, count in wanted.items())
        terminalreporter.write_line(f"Tests left out: {parts}.")


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this test alone, which it may kill."""
    try:
        server = PostgresServer()
    except ServerNotFound:
        pytest.skip(f"{WANT_OF}PostgreSQL")
    with server:
        yield server


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis server of this test alone, which it may kill."""
    try:
        server = RedisServer()
    except ServerNotFound:
        pytest.skip(f"{WANT_OF}Redis")
    with server:
        yield server
