"""A second connection to PostgreSQL, on which moves are committed while the worker does something else."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Mapping
from typing import Any

from django.db import Error, connections

from ...taking import hung_up
from . import rows, sql

# So many are kept by a connection, as the driver keeps them elsewhere.
MOST_STATEMENTS = 100


class Pipe:
    """Sends statements, and takes their answers later, in the same order. It raises no error of the database.

    Each is a transaction by itself, by a synchronisation point behind it: libpq's pipeline mode. What a step
    asks of the database must not wait for them, so this is not the connection of the process's queries, but
    one beside it, made alike.
    """

    def __init__(self, database: str) -> None:
        self._connection: Any = connections[database].copy()
        self._prepared: dict[str, bytes] = {}
        self._named = self._awaited = 0
        self._adapt: Any = None

    @property
    def awaited(self) -> int:
        """How many answers are still to be taken."""
        return self._awaited

    def open(self) -> Pipe | None:
        """Return this, connected, or None where the database cannot be reached."""
        connection = self._connection
        if connection.connection is not None and (self._awaited or hung_up(connection)):
            self.close()  # an answer that nobody took would be taken for the next one's
        if connection.connection is None:
            try:
                self._connect()
            except (Error, connection.Database.Error):
                self.close()
                return None
            except BaseException:
                self.close()
                raise
        return self

    def _connect(self) -> None:
        self._connection.ensure_connection()
        raw = self._connection.connection
        raw.pgconn.enter_pipeline_mode()
        self._prepared.clear()
        self._named = self._awaited = 0
        self._adapt = self._connection.Database.adapt.Transformer(raw)

    def send(self, text: str, parameters: Mapping[str, Any]) -> bool:
        """Send a statement with named parameters, which is a transaction by itself; say whether that was possible."""
        if self._connection.connection is None:
            return False
        text, names = sql.numbered(text)
        driver, server = self._connection.Database, self._connection.connection.pgconn
        # As text, which the server takes for whatever type the statement says.
        formats = [driver.adapt.PyFormat.TEXT] * len(names)
        try:
            values = self._adapt.dump_sequence([parameters[name] for name in names], formats)
        except driver.Error:  # that is no reason to lose the answers of others
            return False
        self._awaited += 1
        try:
            server.send_query_prepared(self._name(text), values)
            server.pipeline_sync()
            while server.flush():  # more than the network takes at once
                self._wait(select.POLLIN | select.POLLOUT)
                server.consume_input()
        except driver.Error:
            self.close()
            return False
        except BaseException:
            self.close()  # in the middle of something
            raise
        return True

    def answer(self) -> bool | None:
        """Wait until the oldest statement is done; say whether it gave a row, None if it failed or nobody can tell."""
        if self._connection.connection is None or not self._awaited:
            return None
        driver = self._connection.Database
        try:
            result = self._result()
        except driver.Error:
            self.close()
            return None
        except BaseException:
            self.close()
            raise
        self._awaited -= 1
        if result is None or result.status != driver.pq.ExecStatus.TUPLES_OK:
            self._prepared.clear()  # among what failed may be its preparation
            return None
        return bool(result.ntuples)

    def rest(self) -> None:
        """Close the connection if the project's settings do not let it live on, or it holds too many statements."""
        if self._named > MOST_STATEMENTS:
            self.close()
        self._connection.close_if_unusable_or_obsolete()

    def close(self) -> None:
        """Close the connection, whatever is under way there."""
        self._awaited = 0
        self._connection.close()

    def _name(self, text: str) -> bytes:
        """Return the name of a statement, which the server has parsed by the time that it needs it."""
        if text not in self._prepared:
            self._named += 1
            name = f"django_ai_{self._named}".encode()
            self._connection.connection.pgconn.send_prepare(name, text.encode())
            self._prepared[text] = name
        return self._prepared[text]

    def _result(self) -> Any:
        """Return what came last before the next synchronisation point."""
        server, statuses = self._connection.connection.pgconn, self._connection.Database.pq.ExecStatus
        last = None
        while True:
            while server.is_busy():
                self._wait(select.POLLIN)
                server.consume_input()
            result = server.get_result()
            if result is None:  # there is nothing more of this statement
                continue
            if result.status == statuses.PIPELINE_SYNC:
                return last
            last = result

    def _wait(self, events: int) -> None:
        poll = select.poll()
        poll.register(self._connection.connection.pgconn.socket, events)
        poll.poll()


_mine = threading.local()


def of_this_thread() -> Pipe | None:
    """Return a pipe to the runs' database that is this thread's own, or None where there can be none.

    It takes prepared statements, so the project must allow them. Inside a transaction another connection would
    not see what that has done, who wraps or logs statements wants to have all of them, and a pool may have no
    second one to give.
    """
    connection: Any = connections[rows.alias()]
    pooled = connection.settings_dict["OPTIONS"].get("pool")
    if connection.in_atomic_block or connection.queries_logged or pooled or not hasattr(select, "poll"):
        return None
    if not sql.may_prepare(connection):
        return None
    if not connection.Database.Pipeline.is_supported():  # by the libpq that the driver uses
        return None
    place = (os.getpid(), rows.alias())  # a connection must not be shared with a process that was forked
    if getattr(_mine, "place", None) != place:
        _mine.place, _mine.pipe = place, Pipe(rows.alias())
    pipe: Pipe = _mine.pipe
    return pipe.open()
