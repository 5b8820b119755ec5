"""Pages under a real ASGI server: requests are held until the run moves, at the cost of a row and a thread."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import psutil
import pytest

from tests.acceptance.books import Books
from tests.acceptance.processes import HOST, Web, environment, manage, wait_until
from tests.servers import PostgresServer

PROPERTY = {"property_name": "Sea View", "property_type": "house", "bedrooms": 3}
HELD = 100
CONNECTIONS = 4
IN_USE = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pages'"
HISTORY = "SELECT count(*) FROM django_ai_workflows_stepexecution WHERE run_id = %s"


class Uvicorn(Web):
    """The shop's web process as production runs it under ASGI."""

    name = "uvicorn"

    def command(self) -> list[str]:
        server = [sys.executable, "-m", "uvicorn", "shop.asgi:application", "--host", HOST, "--port", str(self.port)]
        return [*server, "--lifespan", "off", "--log-level", "warning"]

    @property
    def threads(self) -> int:
        assert self.process is not None
        return psutil.Process(self.process.pid).num_threads()


@pytest.fixture(scope="module")
def shop() -> Iterator[tuple[Uvicorn, Books]]:
    """The shop with four connections to its database, and the database."""
    pytest.importorskip("uvicorn")
    with ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer())
        env = environment(f"{postgres.url}?application_name=pages", "", SHOP_POOL=str(CONNECTIONS))
        manage("migrate", "--verbosity=0", env=env)
        books = Books(postgres.url)
        stack.callback(books.close)
        yield stack.enter_context(Uvicorn(env)), books


def start(web: Uvicorn) -> int:
    status, answer = web.ask("/desk/onboardings/", {})
    assert status == 201
    return int(answer["run"])


class Exchange:
    """One request over a connection of its own, whose answer may take long."""

    def __init__(self, web: Uvicorn, path: str, data: Mapping[str, Any] | None = None, **headers: str) -> None:
        body = b"" if data is None else json.dumps(data).encode()
        lines = {"Host": HOST, "Connection": "close", "Content-Type": "application/json", **headers}
        fields = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        method = "GET" if data is None else "POST"
        head = f"{method} {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n{fields}\r\n"
        self._message = head.encode() + body
        self._port = web.port

    async def send(self) -> Exchange:
        self._reader, self._writer = await asyncio.open_connection(HOST, self._port)
        self._writer.write(self._message)
        await self._writer.drain()
        return self

    async def answer(self) -> tuple[int, dict[str, Any]]:
        head, _, body = (await self._reader.read()).partition(b"\r\n\r\n")
        self._writer.close()
        return int(head.split()[1]), json.loads(body) if body else {}

    def hang_up(self) -> None:
        self._writer.transport.abort()


@asynccontextmanager
async def held(web: Uvicorn, runs: list[int]) -> AsyncIterator[list[Exchange]]:
    """Send requests that the server holds, each for one of the runs in their turn; hang up in the end."""
    state = {"If-None-Match": '"1-suspended"', "Prefer": "wait=25"}
    requests = [Exchange(web, f"/statezero/runs/{runs[number % len(runs)]}/", **state) for number in range(HELD)]
    await asyncio.gather(*(request.send() for request in requests))
    try:
        await become(lambda: web.threads >= HELD, "All requests are held")
        yield requests
    finally:
        for request in requests:
            request.hang_up()
        # Long before the 25 seconds are over that they asked for.
        await become(lambda: web.threads < HELD / 2, "The server has noticed that its clients are gone")


async def become(true: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(wait_until, true, 15, what)


def test_held_requests_end_when_their_run_moves_and_use_no_connection_meanwhile(shop):
    web, books = shop
    runs = [start(web) for _ in range(5)]

    async def scenario():
        async with held(web, runs) as requests:
            assert books.value(IN_USE) <= CONNECTIONS
            form = {**PROPERTY, "workflow_run_id": runs[0]}
            posted = await Exchange(web, "/statezero/actions/property_details/", form).send()
            assert (await posted.answer())[0] == 200
            # Were it their time that ends them, they would be told that nothing has changed.
            return await asyncio.gather(*(request.answer() for request in requests[:: len(runs)]))

    moved = asyncio.run(scenario())
    assert len(moved) == HELD / len(runs)
    assert {status for status, _ in moved} == {200}
    assert {(display["step_type"], display["current_step"]) for _, display in moved} == {("action", "describe_stay")}


def test_a_client_that_goes_away_frees_what_its_request_held(shop):
    web, _ = shop
    run = start(web)

    async def scenario():
        async with held(web, [run]):
            assert web.threads >= HELD
        assert web.threads < HELD / 2

    asyncio.run(scenario())


def test_of_a_hundred_posts_that_a_server_gets_at_once_one_wins(shop):
    web, books = shop
    run = start(web)
    form = {**PROPERTY, "workflow_run_id": run}

    async def scenario():
        posts = [Exchange(web, "/statezero/actions/property_details/", form) for _ in range(100)]
        await asyncio.gather(*(post.send() for post in posts))
        return await asyncio.gather(*(post.answer() for post in posts))

    answers = asyncio.run(scenario())
    assert Counter(status for status, _ in answers) == {200: 1, 409: 99}
    assert books.value(HISTORY, run) == 1
