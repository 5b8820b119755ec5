"""Replaces connections that the server has closed, and settles commits whose answer was lost."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from django.db import DEFAULT_DB_ALIAS, Error, InterfaceError, OperationalError, connections
from django.db.transaction import Atomic

from ...taking import hung_up
from ..exceptions import CommitUnknown

# How drivers say that a connection is gone: MariaDB by a number, PostgreSQL by a state of its own. An error without a
# state comes from PostgreSQL's driver, which has lost the server or could not reach it.
LOST_NUMBERS = {1053, 1927, 2006, 2013, 2055, 4031}
LOST_STATES = {"57P01", "57P02", "57P03", "57P05", "25P03"}
SQLSTATES = ("sqlstate", "pgcode")  # where psycopg and psycopg2 have it


def is_lost(error: BaseException) -> bool:
    """Return whether a database error means that the connection is lost, or that none can be opened."""
    cause = error.__cause__
    if not isinstance(error, OperationalError | InterfaceError) or isinstance(error, CommitUnknown) or cause is None:
        return False
    if error.args and isinstance(error.args[0], int):
        return error.args[0] in LOST_NUMBERS or (isinstance(error, InterfaceError) and error.args[0] == 0)
    name = next((name for name in SQLSTATES if hasattr(cause, name)), None)
    if name is None or type(cause).__module__.startswith("psycopg_pool"):  # SQLite, or a pool that is exhausted
        return False
    state = getattr(cause, name)
    return state is None or state in LOST_STATES or state.startswith("08")


def refresh(connection: Any) -> None:
    """Close a connection outside of transactions that the server has closed: the next query opens another."""
    if connection.connection is not None and hung_up(connection) and not connection.is_usable():
        replace(connection)


def replace(connection: Any) -> None:
    """Close a connection that is lost, and have a pool check its other connections."""
    connection.close()
    pool = getattr(connection, "pool", None)
    if pool is not None:
        pool.check()


class Transaction(Atomic):
    """A transaction that begins on a working connection, and finds out whether an unanswered commit was done.

    Invariant: if the connection is lost during the commit, the block ends as committed exactly if ``witness`` finds
    its writes in the database. Its on-commit hooks are run then.

    Attributes:
        witness: returns whether the writes of the block are in the database; it waits for a commit in progress.
    """

    def __init__(self, using: str, *, savepoint: bool) -> None:
        super().__init__(using, savepoint, durable=False)
        self.witness: Callable[[], bool] | None = None
        self._outermost = False

    def __enter__(self) -> None:
        connection = connections[self.using or DEFAULT_DB_ALIAS]
        self._outermost = not connection.in_atomic_block
        if not self._outermost:
            super().__enter__()
            return
        refresh(connection)
        try:
            super().__enter__()
        except (OperationalError, InterfaceError) as error:  # MariaDB's driver learns of the loss only here
            if not is_lost(error):
                raise
            replace(connection)
            super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None or not self._outermost:
            super().__exit__(kind, error, trace)
            return
        connection: Any = connections[self.using or DEFAULT_DB_ALIAS]
        hooks = connection.run_on_commit
        before = len(hooks)
        try:
            super().__exit__(kind, error, trace)
        except Error as fault:
            if len(hooks) < before or not is_lost(fault):  # it was committed and a hook failed, or it was refused
                raise
            replace(connection)
            if not self._was_done(fault):
                raise
            connection.run_on_commit = hooks
            connection.run_and_clear_commit_hooks()

    def _was_done(self, fault: Error) -> bool:
        if self.witness is None:
            raise CommitUnknown from fault
        return self.witness()


def set_witness(connection: Any, witness: Callable[[], bool]) -> None:
    """Set the function that tells the current transaction whether it was committed, if the answer is lost."""
    outermost = connection.atomic_blocks[0] if connection.atomic_blocks else None
    if isinstance(outermost, Transaction):
        outermost.witness = witness
