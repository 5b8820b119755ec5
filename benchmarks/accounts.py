"""What a workload cost: processor time of each party, statements, commits and WAL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.processes import Program, cpu_of
from benchmarks.servers import Servers
from tests.servers.process import Server

STATEMENTS = """
SELECT coalesce(sum(calls), 0) FROM pg_stat_statements AS counted
JOIN pg_database ON pg_database.oid = counted.dbid WHERE toplevel AND datname = %s
"""
WAL = """
SELECT sum("count") FILTER (WHERE "resource_manager/record_type" LIKE 'Transaction/COMMIT%%'), sum(record_size)
FROM pg_get_wal_stats(%s, %s, true)
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """The meters at one moment."""

    cpu: Mapping[str, float]
    wal: str
    statements: int


class Accounts:
    """Reads the meters before and after, and tells the difference for each unit of work."""

    def __init__(self, servers: Servers, database: str, workers: list[Program]) -> None:
        self.servers = servers
        self.database = database
        self.parties: dict[str, Callable[[], float]] = {
            "worker": lambda: sum(worker.cpu_seconds() for worker in workers),
            "postgres": lambda: _cpu_of_server(servers.postgres),
            "broker": lambda: _cpu_of_server(servers.broker),
        }

    def read(self) -> Reading:
        """Read all meters."""
        (lsn,) = _row(self.servers.admin.execute("SELECT pg_current_wal_flush_lsn()::text"))
        return Reading({party: read() for party, read in self.parties.items()}, lsn, self._statements())

    def since(self, before: Reading, units: int) -> dict[str, float]:
        """Return what each of so many units has cost since: milliseconds, statements, commits, bytes.

        What this PostgreSQL cannot tell, because it came without its extensions, is left out.
        """
        after = self.read()
        totals = {f"cpu_{party}": (after.cpu[party] - before.cpu[party]) * 1000 for party in self.parties}
        if "pg_stat_statements" in self.servers.extensions:
            totals["statements"] = after.statements - before.statements
        if "pg_walinspect" in self.servers.extensions:
            totals["commits"], totals["wal"] = self._wal(before.wal, after.wal)
        return {name: total / units for name, total in totals.items()}

    def _statements(self) -> int:
        if "pg_stat_statements" not in self.servers.extensions:
            return 0
        (calls,) = _row(self.servers.admin.execute(STATEMENTS, (self.database,)))
        return int(calls)

    def _wal(self, start: str, end: str) -> tuple[float, float]:
        if start == end:  # PostgreSQL refuses an empty range
            return 0.0, 0.0
        commits, size = _row(self.servers.admin.execute(WAL, (start, end)))
        return float(commits or 0), float(size or 0)


def _cpu_of_server(server: Server) -> float:
    return cpu_of(server.process.pid) if server.process else 0.0


def _row(cursor: Any) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row
    return tuple(row)
