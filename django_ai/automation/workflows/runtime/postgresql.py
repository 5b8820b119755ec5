"""How PostgreSQL claims and moves a run: in one statement, which does what ``portable`` does in several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, cast

from django.db import connections
from django.db.models import Model

from ... import clock
from ..machine.statuses import RUNNING, SUSPENDED
from ..models import Signal, SignalState, Suspension, WorkflowRun
from . import pace, portable, rows, sql
from .pipe import Pipe, of_this_thread
from .writes import NewRow, Writes


def transaction(*, alone: bool, savepoint: bool = False) -> AbstractContextManager[None]:
    """Open a transaction, but none around a statement ``alone``: that is one by itself, and saves two round trips."""
    connection = connections[rows.alias()]
    if alone and not connection.in_atomic_block and connection.get_autocommit():
        return Alone(connection)
    return rows.transaction_of_runs(savepoint=savepoint)


class Alone:
    """Surrounds a statement that is its own transaction; whoever is broken off meanwhile leaves no connection behind.

    A statement that nobody waits for any more may still be under way, and the connection takes no other.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and not issubclass(kind, Exception):
            self._connection.close()


def is_untouched() -> bool:
    """Say whether the transaction that the caller opened holds nothing yet and may as well end here.

    The driver sends its BEGIN with the first statement, so without one there is nothing to commit either.
    """
    connection: Any = connections[rows.alias()]
    driver = connection.Database
    if driver.__name__ != "psycopg" or connection.run_on_commit or len(connection.atomic_blocks) != 1:
        return False  # psycopg2 cannot tell
    return bool(connection.connection.info.transaction_status == driver.pq.TransactionStatus.IDLE)


def claim(run_id: int, sequence: int, attempt: int) -> WorkflowRun | None:
    """Give the caller the lease of a run at this fence and return it, or None where it is not to be had."""
    now, parameters = clock.sql(rows.alias())
    fence = {"id": run_id, "status": RUNNING.value, "sequence": sequence, "attempt": attempt}
    return _run(_claim(now, first=not attempt), {**parameters, **fence, "lease": rows.lease()})


@cache
def _claim(now: str, *, first: bool) -> str:
    sets = ["attempt = attempt + 1", f"lease_until = {now} + %(lease)s"] + [f"visit_started_at = {now}"] * first
    fence = [f"{name} = %({name})s" for name in ("id", "status", "sequence", "attempt")]
    free = f"(lease_until IS NULL OR lease_until < {now})"
    return (
        f"UPDATE {sql.table(WorkflowRun)} SET {', '.join(sets)} WHERE {' AND '.join([*fence, free])}"
        f" RETURNING {sql.columns(WorkflowRun)}, {now}"
    )


def claim_another(places: Sequence[pace.Place], after: int) -> WorkflowRun | None:
    """Claim one of the runs that were started shortly after another one, and wait for a worker at these places."""
    now, parameters = clock.sql(rows.alias())
    names, versions, steps = (list(column) for column in zip(*places, strict=True))
    found = {"after": after, "status": RUNNING.value, "names": names, "versions": versions, "steps": steps}
    return _run(_claim_another(now), {**parameters, **found, "lease": rows.lease()})


# So many runs are looked at, however many wait for other queues or are being done.
NEAR = 20


@cache
def _claim_another(now: str) -> str:
    table = sql.table(WorkflowRun)
    near = f"SELECT id FROM {table} WHERE status = %(status)s AND id > %(after)s ORDER BY id LIMIT {NEAR}"
    waits = "status = %(status)s AND attempt = 0 AND lease_until IS NULL"
    at = "SELECT * FROM unnest(%(names)s::text[], %(versions)s::text[], %(steps)s::text[])"
    free = (
        f"SELECT id FROM {table} WHERE id = ANY (ARRAY({near})) AND {waits} AND (name, version, current_step) IN ({at})"
        " ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED"
    )
    return (
        f"WITH free AS ({free}) UPDATE {table} SET attempt = 1, lease_until = {now} + %(lease)s,"
        f" visit_started_at = {now} FROM free WHERE {table}.id = free.id RETURNING {sql.columns(WorkflowRun)}, {now}"
    )


def read(run_id: int) -> WorkflowRun | None:
    """Return a run as it is now, without a lock."""
    found = sql.execute(_read(), {"id": run_id})
    return sql.instance(WorkflowRun, found[0]) if found else None


@cache
def _read() -> str:
    return f"SELECT {sql.columns(WorkflowRun)} FROM {sql.table(WorkflowRun)} WHERE id = %(id)s"


def lock(run_id: int) -> WorkflowRun | None:
    """Lock a run until the transaction ends and return it as it is then, with the database's time ``db_now``."""
    now, parameters = clock.sql(rows.alias())
    run = _run(_lock(now), {**parameters, "id": run_id})
    if run is not None and run.status == SUSPENDED:
        # By a statement of its own, which sees what was committed while the first one waited.
        wait = sql.execute(_wait(), {"id": run_id})
        run._state.fields_cache["suspension"] = sql.instance(Suspension, wait[0]) if wait else None
    return run


def glances(run_ids: Sequence[int]) -> list[tuple[WorkflowRun, Signal | None]]:
    """Return those runs that are suspended with what they wait for and the first messages of their inboxes.

    They are read without a lock.
    """
    now, parameters = clock.sql(rows.alias())
    pending = {**parameters, "ids": list(run_ids), "status": SUSPENDED.value, "pending": SignalState.PENDING.value}
    return [_glance_of(values) for values in sql.execute(_glances(now), pending)]


def _glance_of(values: Sequence[Any]) -> tuple[WorkflowRun, Signal | None]:
    of_run, of_wait, of_message, (db_now,) = _cut(values, WorkflowRun, Suspension, Signal)
    run: Any = sql.instance(WorkflowRun, of_run)
    run.db_now = db_now
    run._state.fields_cache["suspension"] = sql.instance(Suspension, of_wait)
    has_message = of_message[0] is not None
    return cast(WorkflowRun, run), sql.instance(Signal, of_message) if has_message else None


@cache
def _glances(now: str) -> str:
    run, wait, message = (sql.table(model) for model in (WorkflowRun, Suspension, Signal))
    columns = ", ".join(sql.columns(model) for model in (WorkflowRun, Suspension, Signal))
    first = f"SELECT * FROM {message} WHERE run_id = {run}.id AND state = %(pending)s ORDER BY id LIMIT 1"
    return (
        f"SELECT {columns}, {now} FROM {run} JOIN {wait} ON {wait}.run_id = {run}.id"
        f" LEFT JOIN LATERAL ({first}) AS {message} ON true"
        f" WHERE {run}.id = ANY (%(ids)s::bigint[]) AND {run}.status = %(status)s"
    )


def _cut(values: Sequence[Any], *models: type[Model]) -> Iterator[Sequence[Any]]:
    start = 0
    for model in models:
        end = start + len(model._meta.concrete_fields)
        yield values[start:end]
        start = end
    yield values[start:]


@cache
def _wait() -> str:
    return f"SELECT {sql.columns(Suspension)} FROM {sql.table(Suspension)} WHERE run_id = %(id)s"


@cache
def _lock(now: str) -> str:
    # Rows that refer to a run may be inserted while it is locked: no sender waits for it.
    columns = f"{sql.columns(WorkflowRun)}, {now}"
    return f"SELECT {columns} FROM {sql.table(WorkflowRun)} WHERE id = %(id)s FOR NO KEY UPDATE"


def pending(run_id: int) -> list[Signal]:
    """Return the messages that lie in a run's inbox, oldest first."""
    found = sql.execute(_pending(), {"run_id": run_id, "state": SignalState.PENDING.value})
    return [sql.instance(Signal, values) for values in found]


@cache
def _pending() -> str:
    of_run = "run_id = %(run_id)s AND state = %(state)s"
    return f"SELECT {sql.columns(Signal)} FROM {sql.table(Signal)} WHERE {of_run} ORDER BY id"


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
    ((run.pk,),) = sql.execute(_next_number(), {"table": WorkflowRun._meta.db_table})
    run._state.adding, run._state.db = False, rows.alias()
    return False


@cache
def _next_number() -> str:
    return "SELECT nextval(pg_get_serial_sequence(%(table)s, 'id'))"


def insert(new: Sequence[Model], batch_size: int) -> None:
    """Insert new rows of one model, which have their ids then."""
    if len(new) > 1:
        portable.insert(new, batch_size)
        return
    (row,) = new
    ((row.pk,),) = sql.execute(_new_row(type(row)), sql.values_of(NewRow.of(row)))
    row._state.adding, row._state.db = False, rows.alias()


@cache
def _new_row(model: type[Model]) -> str:
    fields = sql.inserted(model)
    names = ", ".join(sql.quoted(field.column) for field in fields)
    values = ", ".join(sql.parameter(field) for field in fields)
    return f"INSERT INTO {sql.table(model)} ({names}) VALUES ({values}) RETURNING id"


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
    return _move(
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


@cache
def _move(
    columns: tuple[str, ...],
    fence: tuple[str, ...],
    models: tuple[type[Model], ...],
    marks: tuple[str, ...],
    *,
    ends_wait: bool,
) -> str:
    run, moved = WorkflowRun, "(SELECT id FROM moved)"
    parts = {
        "moved": f"UPDATE {sql.table(run)} SET {sql.assignments(run, columns)} WHERE id = %(id)s AND"
        f" {' AND '.join(sql.assignments(run, [name], 'fence_') for name in fence)} RETURNING id"
    }
    if ends_wait and Suspension not in models:
        parts["freed"] = f"DELETE FROM {sql.table(Suspension)} WHERE run_id = {moved}"
    if marks:
        parts["marked"] = f"UPDATE {sql.table(Signal)} SET {sql.assignments(Signal, marks, 'mark_')}"
        parts["marked"] += f" WHERE id = %(message)s AND EXISTS {moved}"
    for index, model in enumerate(models):
        parts[f"added{index}"] = _insert(model, f"r{index}_")
    return f"WITH {', '.join(f'{name} AS ({text})' for name, text in parts.items())} SELECT id FROM moved"


def _insert(model: type[Model], prefix: str) -> str:
    fields = sql.inserted(model, numbered=model is WorkflowRun)
    names = ", ".join(sql.quoted(field.column) for field in fields)
    values = ", ".join(sql.parameter(field, prefix) for field in fields)
    text = f"INSERT INTO {sql.table(model)} ({names}) SELECT {values} FROM moved"
    if model is Suspension:  # one that is over makes room for it
        others = [sql.quoted(field.column) for field in fields if not field.primary_key]
        text += f" ON CONFLICT (run_id) DO UPDATE SET {', '.join(f'{name} = EXCLUDED.{name}' for name in others)}"
    return text
