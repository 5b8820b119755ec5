"""The servers, web and beat of the acceptance tests, started once for a module."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.books import Books
from tests.acceptance.processes import Beat, Web, Worker, environment, manage
from tests.servers import PostgresServer, RedisServer, ServerNotFound
from tests.servers.plugin import WANT_OF

# A lost message is missed soon, and a lease that no heartbeat renews ends soon.
ENGINE = {"TICK_SECONDS": 0.5, "RESEND_AFTER_SECONDS": 2, "LEASE_SECONDS": 30}
PACE = {"SHOP_DAY_SECONDS": "0.4", "SHOP_GATEWAY_SECONDS": "0.01"}


# In seconds, for a whole test: several waits of its own, each of which says what did not come.
TEST_TIMEOUT = 1200


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests beside this file time for their waits, on a busy machine too."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_TIMEOUT))


@dataclass
class Installation:
    """The shop as it is installed in production: what runs all the time, and what workers need."""

    redis: RedisServer
    web: Web
    books: Books
    env: dict[str, str]

    def worker(self, *, lease: float = ENGINE["LEASE_SECONDS"], **more: str) -> Worker:
        """Return a worker that is not started yet."""
        engine = json.dumps({**ENGINE, "LEASE_SECONDS": lease})
        return Worker({**self.env, "SHOP_DJANGO_AI": engine, **more})


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    with ExitStack() as stack:
        try:
            postgres = stack.enter_context(PostgresServer())
            redis = stack.enter_context(RedisServer())
        except ServerNotFound as error:
            pytest.skip(f"{WANT_OF}{'Redis' if 'edis' in str(error) else 'PostgreSQL'}")
        env = environment(postgres.url, redis.url, SHOP_DJANGO_AI=json.dumps(ENGINE), **PACE)
        manage("migrate", "--verbosity=0", env=env)
        books = Books(postgres.url)
        stack.callback(books.close)
        web = stack.enter_context(Web(env))
        stack.enter_context(Beat(env))
        yield Installation(redis, web, books, env)
