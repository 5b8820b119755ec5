"""A DATABASE_URL becomes a Django database, with the options its engine needs under load."""

from pathlib import Path
from typing import Any

import dj_database_url

SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}


def database(url: str | None) -> dict[str, Any]:
    """Return the DATABASES entry for a URL; without one a database in memory, to load models."""
    settings: dict[str, Any] = {**dj_database_url.parse(url or "sqlite://:memory:")}
    engine = settings["ENGINE"].rpartition(".")[2]
    return {**settings, **ENGINES.get(engine, lambda _: {})(settings)}


def _sqlite(settings: dict[str, Any]) -> dict[str, Any]:
    if settings["NAME"] == ":memory:":
        return {}
    path = Path(settings["NAME"])
    # Threads and other processes must see the test database too, so it is a file.
    return {"OPTIONS": SQLITE_OPTIONS, "TEST": {"NAME": str(path.with_name(f"test_{path.name}"))}}


def _mysql(_: dict[str, Any]) -> dict[str, Any]:
    import pymysql

    # Django asks for a recent mysqlclient; PyMySQL speaks the same protocol and takes its place.
    pymysql.version_info = (2, 2, 7, "final", 0)
    pymysql.install_as_MySQLdb()
    return {"OPTIONS": {"charset": "utf8mb4"}, "TEST": {"CHARSET": "utf8mb4"}}


def _postgresql(_: dict[str, Any]) -> dict[str, Any]:
    return {"OPTIONS": {"prepare_threshold": 5}}  # as docs/operation.md recommends


ENGINES = {"sqlite3": _sqlite, "mysql": _mysql, "postgresql": _postgresql}
