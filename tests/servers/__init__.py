"""PostgreSQL and Redis for the tests: found, or started here, and always left as they were."""

from tests.servers.binaries import ServerNotFound
from tests.servers.postgres import PostgresServer, postgres_server
from tests.servers.redis import RedisServer, redis_server

__all__ = ["PostgresServer", "RedisServer", "ServerNotFound", "postgres_server", "redis_server"]
