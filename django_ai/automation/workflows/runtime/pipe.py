"""A second connection to PostgreSQL, on which a move is committed while the worker does something else."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Mapping
from typing import Any

from django.db import Error, connections

from ...taking import hung_up
from . import rows, sql


class Pipe:
    """Sends one statement, and takes its answer later. It never raises an error of the database.

    A connection that is waiting for an answer takes no other statement, and what a step asks of the database
    must not wait: so this is not the connection of the process's queries, but one beside it, made alike.
    """

    def __init__(self, database: str) -> None:
        self._connection: Any = connections[database].copy()
        self._prepared: dict[str, bytes] = {}
        self._adapt: Any = None

    def open(self) -> Pipe | None:
        """Return this, connected, or None where the database cannot be reached."""
        connection = self._connection
        if connection.connection is not None and hung_up(connection):
            self.close()
        if connection.connection is None:
            try:
                connection.ensure_connection()
            except Error:
                return None
            self._prepared.clear()
            self._adapt = connection.Database.adapt.Transformer(connection.connection)
        return self

    def send(self, text: str, parameters: Mapping[str, Any]) -> bool:
        """Send a statement with named parameters, which is a transaction by itself; say whether that was possible."""
        if self._connection.connection is None:
            return False
        text, names = sql.numbered(text)
        driver, server = self._connection.Database, self._connection.connection.pgconn
        try:
            # As text, which the server takes for whatever type the statement says.
            formats = [driver.adapt.PyFormat.TEXT] * len(names)
            values = self._adapt.dump_sequence([parameters[name] for name in names], formats)
            server.send_query_prepared(self._name(text), values)
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
        """Wait until the statement is done; say whether it gave a row, None if it failed or nobody can tell."""
        driver = self._connection.Database
        try:
            result = self._result()
        except driver.Error:
            self.close()
            return None
        except BaseException:
            self.close()
            raise
        done = result is not None and result.status == driver.pq.ExecStatus.TUPLES_OK
        return bool(result.ntuples) if done else None

    def rest(self) -> None:
        """Close the connection if the project's settings do not let it live on."""
        self._connection.close_if_unusable_or_obsolete()

    def close(self) -> None:
        """Close the connection, whatever is under way there."""
        self._connection.close()

    def _name(self, text: str) -> bytes:
        """Return the name of a statement, which the server has parsed and planned then."""
        if text not in self._prepared:
            driver, server = self._connection.Database, self._connection.connection.pgconn
            name = f"django_ai_{len(self._prepared)}".encode()
            if server.prepare(name, text.encode()).status != driver.pq.ExecStatus.COMMAND_OK:
                raise driver.OperationalError
            self._prepared[text] = name
        return self._prepared[text]

    def _result(self) -> Any:
        server = self._connection.connection.pgconn
        last = None
        while True:
            while server.is_busy():
                self._wait(select.POLLIN)
                server.consume_input()
            result = server.get_result()
            if result is None:
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
    prepares = getattr(connection.connection, "prepare_threshold", None) is not None
    watched = connection.execute_wrappers or connection.queries_logged
    pooled = connection.settings_dict["OPTIONS"].get("pool")
    if connection.in_atomic_block or watched or pooled or not prepares or not hasattr(select, "poll"):
        return None
    place = (os.getpid(), rows.alias())  # a connection must not be shared with a process that was forked
    if getattr(_mine, "place", None) != place:
        _mine.place, _mine.pipe = place, Pipe(rows.alias())
    pipe: Pipe = _mine.pipe
    return pipe.open()
