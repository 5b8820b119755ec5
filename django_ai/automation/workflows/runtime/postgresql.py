"""How PostgreSQL claims and moves a run: in one statement, which does what ``portable`` does in several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

from django.db import connections
from django.db.models import Model

from ... import clock
from ..exceptions import CommitUnknown
from ..machine.statuses import RUNNING, SUSPENDED
from ..models import Signal, SignalState, Suspension, WorkflowRun
from . import connection as connecting
from . import pace, portable, rows, sql, texts
from .pipe import Pipe, of_this_thread
from .writes import NewRow, Writes


def transaction(*, alone: bool, savepoint: bool = False) -> AbstractContextManager[None]:
    """Open a transaction, but none around a statement ``alone``: that is one by itself, and saves two round trips."""
    connection = connections[rows.alias()]
    if alone and not connection.in_atomic_block:
        connecting.refresh(connection)
        if connection.get_autocommit():
            return Alone(connection)
    return rows.transaction_of_runs(savepoint=savepoint)


class Alone:
    """Surrounds a statement that is its own transaction; whoever is broken off meanwhile leaves no connection behind.

    A statement may still be in flight after its caller was interrupted, and the connection takes no other. If the
    connection is lost before the answer, the statement may or may not have been executed.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        if self._connection.connection is None:  # a server that cannot be reached has executed nothing
            self._connection.ensure_connection()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None:
            return
        if not isinstance(error, Exception) or rows.is_busy(self._connection):
            self._connection.close()
        elif connecting.is_lost(error):
            connecting.replace(self._connection)
            raise CommitUnknown from error


def is_untouched() -> bool:
    """Say whether the transaction that the caller opened holds nothing yet and may as well end here.

    The driver sends its BEGIN with the first statement, so without one there is nothing to commit either.
    """
    connection: Any = connections[rows.alias()]
    driver = connection.Database
    if driver.__name__ != "psycopg":  # but psycopg2, which cannot tell
        return False
    if connection.run_on_commit or connection.needs_rollback or len(connection.atomic_blocks) != 1:
        return False
    return bool(connection.connection.info.transaction_status == driver.pq.TransactionStatus.IDLE)


def claim(run_id: int, sequence: int, attempt: int) -> WorkflowRun | None:
    """Give the caller the lease of a run at this fence and return it, or None where it is not to be had."""
    now, parameters = clock.sql(rows.alias())
    fence = {"id": run_id, "status": RUNNING.value, "sequence": sequence, "attempt": attempt}
    return _run(texts.claim(now, first=not attempt), {**parameters, **fence, "lease": rows.lease()})


def claim_another(places: Sequence[pace.Place], after: int) -> WorkflowRun | None:
    """Claim one of the runs that were started shortly after another one, and wait for a worker at these places."""
    now, parameters = clock.sql(rows.alias())
    names, versions, steps = (list(column) for column in zip(*places, strict=True))
    found = {"after": after, "status": RUNNING.value, "names": names, "versions": versions, "steps": steps}
    return _run(texts.claim_another(now), {**parameters, **found, "lease": rows.lease()})


def read(run_id: int) -> WorkflowRun | None:
    """Return a run as it is now, with its suspension, without a lock."""
    found = sql.execute(texts.read(), {"id": run_id})
    if not found:
        return None
    of_run, of_wait, _ = _cut(found[0], WorkflowRun, Suspension)
    run = sql.instance(WorkflowRun, of_run)
    run._state.fields_cache["suspension"] = sql.instance(Suspension, of_wait) if of_wait[0] is not None else None
    return run


def lock(run_id: int) -> WorkflowRun | None:
    """Lock a run until the transaction ends and return it as it is then, with the database's time ``db_now``."""
    now, parameters = clock.sql(rows.alias())
    run = _run(texts.lock(now), {**parameters, "id": run_id})
    if run is not None and run.status == SUSPENDED:
        # By a statement of its own, which sees what was committed while the first one waited.
        wait = sql.execute(texts.wait(), {"id": run_id})
        run._state.fields_cache["suspension"] = sql.instance(Suspension, wait[0]) if wait else None
    return run


def glances(run_ids: Sequence[int]) -> list[tuple[WorkflowRun, Signal | None]]:
    """Return those runs that are suspended with what they wait for and the first messages of their inboxes.

    They are read without a lock.
    """
    now, parameters = clock.sql(rows.alias())
    several = len(run_ids) != 1
    of_runs = {"ids": list(run_ids)} if several else {"id": run_ids[0]}
    states = {"status": SUSPENDED.value, "pending": SignalState.PENDING.value}
    found = sql.execute(texts.glances(now, several=several), {**parameters, **of_runs, **states})
    return [_glance_of(values) for values in found]


def _glance_of(values: Sequence[Any]) -> tuple[WorkflowRun, Signal | None]:
    of_run, of_wait, of_message, (db_now,) = _cut(values, WorkflowRun, Suspension, Signal)
    run: Any = sql.instance(WorkflowRun, of_run)
    run.db_now = db_now
    run._state.fields_cache["suspension"] = sql.instance(Suspension, of_wait)
    has_message = of_message[0] is not None
    return cast(WorkflowRun, run), sql.instance(Signal, of_message) if has_message else None


def _cut(values: Sequence[Any], *models: type[Model]) -> Iterator[Sequence[Any]]:
    start = 0
    for model in models:
        end = start + len(model._meta.concrete_fields)
        yield values[start:end]
        start = end
    yield values[start:]


def pending(run_id: int) -> list[Signal]:
    """Return the messages that lie in a run's inbox, oldest first."""
    found = sql.execute(texts.pending(), {"run_id": run_id, "state": SignalState.PENDING.value})
    return [sql.instance(Signal, values) for values in found]


def _run(text: str, parameters: Mapping[str, Any]) -> WorkflowRun | None:
    """Return the run of a statement that gives its columns and the database's time."""
    found = sql.execute(text, parameters)
    if not found:
        return None
    run: Any = sql.instance(WorkflowRun, found[0][:-1])
    run.db_now = found[0][-1]
    return cast(WorkflowRun, run)


def number(run: WorkflowRun) -> bool:
    """Give a new run its number, in the transaction that is to insert it; say whether that was done along with it."""
    ((run.pk,),) = sql.execute(texts.next_number(), {"table": WorkflowRun._meta.db_table})
    run._state.adding, run._state.db = False, rows.alias()
    return False


def insert(new: Sequence[Model], batch_size: int) -> None:
    """Insert new rows of one model, which have their ids then."""
    if len(new) > 1:
        portable.insert(new, batch_size)
        return
    (row,) = new
    ((row.pk,),) = sql.execute(texts.new_row(type(row)), sql.values_of(NewRow.of(row)))
    row._state.adding, row._state.db = False, rows.alias()


def write(writes: Writes) -> bool:
    """Write a move in the caller's transaction; say whether the run was still there."""
    return bool(sql.execute(_text(writes), _parameters(writes)))


def pipe() -> Pipe | None:
    """Return on what a move may be committed while the worker does something else, if there is such a thing."""
    return of_this_thread()


def send(pipe: Pipe, writes: Writes) -> bool:
    """Have a move written, as a transaction by itself; say whether it was sent, and the pipe has the answer."""
    return pipe.send(_text(writes), _parameters(writes))


def _text(writes: Writes) -> str:
    return texts.move(
        tuple(writes.columns),
        tuple(writes.fence),
        tuple(row.model for row in writes.rows),
        tuple(writes.marks) if writes.message else (),
        ends_wait=writes.ends_wait,
    )


def _parameters(writes: Writes) -> dict[str, Any]:
    parameters = {"id": writes.run.pk, **sql.values(WorkflowRun, writes.columns)}
    parameters.update(sql.values(WorkflowRun, writes.fence, "fence_"))
    for index, row in enumerate(writes.rows):
        parameters.update(sql.values_of(row, f"r{index}_"))
    if writes.message:
        parameters.update(sql.values(Signal, writes.marks, "mark_"), message=writes.message.pk)
    return parameters
