"""How PostgreSQL claims and moves a run: in one statement, which does what ``portable`` does in several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any, cast

from django.db import connections
from django.db.models import Model

from ... import clock
from ..machine.statuses import RUNNING, SUSPENDED
from ..models import Signal, SignalState, Suspension, WorkflowRun
from . import portable, rows, sql
from .writes import Writes


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


def glance(run_id: int) -> tuple[WorkflowRun, Signal | None] | None:
    """Return a suspended run with what it waits for, and the first message of its inbox, without a lock."""
    now, parameters = clock.sql(rows.alias())
    pending = {**parameters, "id": run_id, "status": SUSPENDED.value, "pending": SignalState.PENDING.value}
    found = sql.execute(_glance(now), pending)
    if not found:
        return None
    of_run, of_wait, of_message, (db_now,) = _cut(found[0], WorkflowRun, Suspension, Signal)
    run: Any = sql.instance(WorkflowRun, of_run)
    run.db_now = db_now
    run._state.fields_cache["suspension"] = sql.instance(Suspension, of_wait)
    has_message = of_message[0] is not None
    return cast(WorkflowRun, run), sql.instance(Signal, of_message) if has_message else None


@cache
def _glance(now: str) -> str:
    run, wait, message = (sql.table(model) for model in (WorkflowRun, Suspension, Signal))
    columns = ", ".join(sql.columns(model) for model in (WorkflowRun, Suspension, Signal))
    first = f"SELECT * FROM {message} WHERE run_id = %(id)s AND state = %(pending)s ORDER BY id LIMIT 1"
    return (
        f"SELECT {columns}, {now} FROM {run} JOIN {wait} ON {wait}.run_id = {run}.id"
        f" LEFT JOIN ({first}) AS {message} ON true WHERE {run}.id = %(id)s AND {run}.status = %(status)s"
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


def insert(new: Sequence[Model], batch_size: int) -> None:
    """Insert new rows of one model, which have their ids then."""
    if len(new) > 1:
        portable.insert(new, batch_size)
        return
    (row,) = new
    ((row.pk,),) = sql.execute(_new_row(type(row)), sql.values_of(row))
    row._state.adding, row._state.db = False, rows.alias()


@cache
def _new_row(model: type[Model]) -> str:
    fields = sql.inserted(model)
    names = ", ".join(sql.quoted(field.column) for field in fields)
    values = ", ".join(sql.parameter(field) for field in fields)
    return f"INSERT INTO {sql.table(model)} ({names}) VALUES ({values}) RETURNING id"


def write(writes: Writes, *, ends: bool) -> bool:
    """Write a move in the caller's transaction, which it ``ends``; say whether the run was still there."""
    text = _move(
        tuple(writes.columns),
        tuple(writes.fence),
        tuple(type(row) for row in writes.rows),
        tuple(writes.marks) if writes.message else (),
        ends_wait=writes.ends_wait,
    )
    with statement_alone(writes.database) if ends else nullcontext():
        return bool(sql.execute(text, _parameters(writes)))


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
    fields = sql.inserted(model)
    names = ", ".join(sql.quoted(field.column) for field in fields)
    values = ", ".join(sql.parameter(field, prefix) for field in fields)
    text = f"INSERT INTO {sql.table(model)} ({names}) SELECT {values} FROM moved"
    if model is Suspension:  # one that is over makes room for it
        others = [sql.quoted(field.column) for field in fields if not field.primary_key]
        text += f" ON CONFLICT (run_id) DO UPDATE SET {', '.join(f'{name} = EXCLUDED.{name}' for name in others)}"
    return text


@contextmanager
def statement_alone(database: str) -> Iterator[None]:
    """Surround the last statement of the caller's transaction: where it is the only one, it is one by itself.

    A transaction begins with its first statement, so one in which nothing was sent has not begun: a
    BEGIN and a COMMIT, which are a round trip each, can be left out. Django's end of the transaction finds
    nothing to commit then, and goes on in the mode in which it leaves the driver.
    """
    connection = connections[database]
    connection.ensure_connection()
    raw = connection.connection
    outermost = len(connection.atomic_blocks) == 1 and connection.commit_on_exit
    if not (outermost and _has_not_begun(connection)):
        yield
        return
    raw.autocommit = True
    try:
        yield
    finally:
        if not _has_not_begun(connection):
            raw.close()  # broken off in the middle of the statement


def _has_not_begun(connection: Any) -> bool:
    driver = connection.Database
    if driver.__name__ != "psycopg":  # but psycopg2, which cannot tell
        return False
    return bool(connection.connection.info.transaction_status == driver.pq.TransactionStatus.IDLE)
