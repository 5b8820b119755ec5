"""A PostgreSQL server of one's own, from the machine's programs or from a wheel."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.servers.binaries import postgres_bin
from tests.servers.process import HOST, Server

NOBODY = 65534


class PostgresServer(Server):
    """A fresh cluster with trust authentication; `url` names its database `postgres`.

    A commit outlives `kill` and `restart(IMMEDIATE)`. What the machine itself may lose at a power
    cut is not waited for, unless `durable` is set (for measurements).
    """

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": open connections are cut, the data is flushed
    end_signal = signal.SIGQUIT
    IMMEDIATE = signal.SIGQUIT  # what `pg_ctl stop -m immediate` sends

    def __init__(self, *, durable: bool = False) -> None:
        programs = postgres_bin()
        super().__init__()
        self.durable = durable
        self.user = NOBODY if os.geteuid() == 0 else None
        if self.user is not None:
            programs = self._within_reach(programs)
            os.chown(self.directory, self.user, self.user)
        self.programs = programs
        self.data = self.directory / "data"
        self._create_cluster()

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{HOST}:{self.port}/postgres"

    def command(self) -> list[str]:
        options = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "fsync": "on" if self.durable else "off",
            "full_page_writes": "on" if self.durable else "off",
        }
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.data), *settings]

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _create_cluster(self) -> None:
        initdb = [str(self.programs / "initdb"), "-D", str(self.data), "-U", "postgres"]
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        made = subprocess.run(
            [*initdb, *options],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **self.identity(),
        )
        if made.returncode:
            self.close()
            raise RuntimeError(f"initdb failed: {made.stdout}{made.stderr}")

    def _within_reach(self, programs: Path) -> Path:
        """Return the programs where another user can run them, copied if a parent is private."""
        if all(parent.stat().st_mode & 0o001 for parent in programs.parents):
            return programs
        install = programs.parent
        # The programs look for their libraries relative to themselves, so both move together.
        copy = self.directory / install.parent.name / install.name
        shutil.copytree(install, copy, symlinks=True)
        libraries = install.parent.with_name(f"{install.parent.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, self.directory / libraries.name, symlinks=True)
        return copy / programs.name


@contextlib.contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[str]:
    """Start a PostgreSQL server and yield its URL; raise ServerNotFound where no program is."""
    with PostgresServer(durable=durable) as server:
        yield server.url
