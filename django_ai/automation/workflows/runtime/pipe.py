"""A second connection to PostgreSQL, on which moves are committed while the worker does something else."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from django.db import Error, connections

from ...taking import hung_up
from . import rows, sql

# So many are kept by a connection, as the driver keeps them elsewhere.
MOST_STATEMENTS = 100

# Of several statements in one transaction each may lock a row while it waits for the next. Before PostgreSQL looks for
# deadlocks (deadlock_timeout, a second by default), and ends somebody's transaction, this one has given way.
GIVE_WAY = "SELECT set_config('lock_timeout', '100ms', true)"


class _Statement(NamedTuple):
    """What is yet to be sent."""

    text: str
    values: Sequence[Any]


class Pipe:
    """Sends statements, and takes their answers later, in the same order. It raises no error of the database.

    What comes while nothing is under way is sent at once and is a transaction by itself. What comes while something
    is waits until that is done, and is then sent as one transaction, which costs one sync to disk: the slower the
    disk, the more go together. If one of them fails, all are rolled back, and for none of them it is known what
    became of it. In libpq's pipeline mode a transaction ends at a synchronisation point.

    What a step asks of the database must not wait for them, so this is not the connection of the process's queries,
    but one beside it, made alike.
    """

    def __init__(self, database: str) -> None:
        self._connection: Any = connections[database].copy()
        self._prepared: dict[str, bytes] = {}
        self._named = 0
        self._adapt: Any = None
        self._forget()

    def _forget(self) -> None:
        self._held: list[_Statement] = []
        self._under_way = 0
        self._results: list[Any] = []
        self._answers: deque[bool | None] = deque()

    @property
    def awaited(self) -> int:
        """How many answers are still to be taken."""
        return len(self._answers) + self._under_way + len(self._held)

    def open(self) -> Pipe | None:
        """Return this, connected, or None where the database cannot be reached."""
        connection = self._connection
        if connection.connection is not None and (self.awaited or hung_up(connection)):
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
        self._named = 0
        self._forget()
        self._adapt = self._connection.Database.adapt.Transformer(raw)

    def send(self, text: str, parameters: Mapping[str, Any]) -> bool:
        """Take a statement with named parameters, to be sent as soon as may be; say whether that was possible."""
        if self._connection.connection is None:
            return False
        text, names = sql.numbered(text)
        driver = self._connection.Database
        # As text, which the server takes for whatever type the statement says.
        formats = [driver.adapt.PyFormat.TEXT] * len(names)
        try:
            values = self._adapt.dump_sequence([parameters[name] for name in names], formats)
        except driver.Error:  # that is no reason to lose the answers of others
            return False
        self._held.append(_Statement(text, values))
        if self._whole(self._go_on):
            return True
        self._answers.pop()  # its own
        return False

    def answer(self) -> bool | None:
        """Wait until the oldest statement is done; say whether it gave a row, None if it failed or nobody can tell."""
        if self.awaited:
            self._whole(self._go_on if self._answers else self._await)
        return self._answers.popleft() if self._answers else None

    def _whole(self, do: Callable[[], object]) -> bool:
        """Do something with the connection; say whether that is still there then. Who is broken off leaves none."""
        try:
            do()
        except self._connection.Database.Error:
            answers = [*self._answers, *[None] * (self._under_way + len(self._held))]
            self.close()
            self._answers.extend(answers)
            return False
        except BaseException:
            self.close()  # in the middle of something
            raise
        return True

    def _go_on(self) -> None:
        if self._held and self._under_way:  # else nobody waits for its end
            self._connection.connection.pgconn.consume_input()
            self._take(wait=False)
        self._send_held()

    def _await(self) -> None:
        while not self._answers:
            self._send_held()
            self._take(wait=True)
        self._send_held()

    def _send_held(self) -> None:
        """Send what is held as one transaction, unless another one is under way."""
        if self._under_way or not self._held:
            return
        server = self._connection.connection.pgconn
        held, self._held = self._held, []
        self._under_way = len(held)
        for statement in [_Statement(GIVE_WAY, []), *held] if len(held) > 1 else held:
            server.send_query_prepared(self._name(statement.text), statement.values)
        server.pipeline_sync()
        while server.flush():  # more than the network takes at once
            self._wait(select.POLLIN | select.POLLOUT)
            server.consume_input()

    def _take(self, *, wait: bool) -> None:
        """Take what has come of the transaction that is under way; with ``wait`` to its end."""
        server, driver = self._connection.connection.pgconn, self._connection.Database
        while self._under_way:
            while server.is_busy():
                if not wait:
                    return
                self._wait(select.POLLIN)
                server.consume_input()
            result = server.get_result()
            if result is None:  # there is nothing more of this statement
                if server.status == driver.pq.ConnStatus.BAD:
                    raise driver.OperationalError("the connection is lost")
                continue
            if result.status == driver.pq.ExecStatus.PIPELINE_SYNC:
                self._settle(driver.pq.ExecStatus)
            else:
                self._results.append(result)

    def _settle(self, statuses: Any) -> None:
        """Turn the results of a transaction that has ended into answers: it is committed if none of them is a fault."""
        results, self._results = self._results, []
        rows_of = [result for result in results if result.status == statuses.TUPLES_OK][-self._under_way :]
        if all(result.status in (statuses.TUPLES_OK, statuses.COMMAND_OK) for result in results):
            self._answers.extend(bool(result.ntuples) for result in rows_of)
        else:
            self._prepared.clear()  # among what failed may be its preparation
            self._answers.extend([None] * self._under_way)
        self._under_way = 0

    def rest(self) -> None:
        """Close the connection if the project's settings do not let it live on, or it holds too many statements."""
        if self._named > MOST_STATEMENTS:
            self.close()
        self._connection.close_if_unusable_or_obsolete()

    def close(self) -> None:
        """Close the connection, whatever is under way there."""
        self._forget()
        self._connection.close()

    def _name(self, text: str) -> bytes:
        """Return the name of a statement, which the server has parsed by the time that it needs it."""
        if text not in self._prepared:
            self._named += 1
            name = f"django_ai_{self._named}".encode()
            self._connection.connection.pgconn.send_prepare(name, text.encode())
            self._prepared[text] = name
        return self._prepared[text]

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
