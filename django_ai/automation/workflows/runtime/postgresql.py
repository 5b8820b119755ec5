"""How PostgreSQL claims and moves a run: in one statement, which does what ``portable`` does in several."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any, TypeAlias, cast

from django.db import connections
from django.db.models import Field, JSONField, Model

from ... import clock
from ..machine.statuses import RUNNING
from ..models import Signal, Suspension, WorkflowRun
from . import rows
from .writes import Writes

AnyField: TypeAlias = "Field[Any, Any]"


def claim(run_id: int, sequence: int, attempt: int) -> WorkflowRun | None:
    """Give the caller the lease of a run at this fence and return it, or None where it is not to be had."""
    now, parameters = clock.sql(rows.alias())
    fence = {"id": run_id, "status": RUNNING.value, "sequence": sequence, "attempt": attempt}
    parameters = {**parameters, **fence, "lease": rows.lease()}
    claimed = WorkflowRun.objects.using(rows.alias()).raw(_claim(now, first=not attempt), parameters)
    return next(iter(claimed), None)


@cache
def _claim(now: str, *, first: bool) -> str:
    sets = ["attempt = attempt + 1", f"lease_until = {now} + %(lease)s"] + [f"visit_started_at = {now}"] * first
    fence = [f"{name} = %({name})s" for name in ("id", "status", "sequence", "attempt")]
    free = f"(lease_until IS NULL OR lease_until < {now})"
    return (
        f"UPDATE {_table(WorkflowRun)} SET {', '.join(sets)} WHERE {' AND '.join([*fence, free])}"
        f" RETURNING *, {now} AS db_now"
    )


def write(writes: Writes, *, ends: bool) -> bool:
    """Write a move in the caller's transaction, which it ``ends``; say whether the run was still there."""
    sql = _move(
        tuple(writes.columns),
        tuple(writes.fence),
        tuple(type(row) for row in writes.rows),
        tuple(writes.marks) if writes.message else (),
        ends_wait=writes.ends_wait,
    )
    alone = statement_alone(writes.database) if ends else nullcontext()
    with connections[writes.database].cursor() as cursor, alone:
        cursor.execute(sql, _parameters(writes))
        return cursor.fetchone() is not None


@contextmanager
def statement_alone(database: str) -> Iterator[None]:
    """Surround the last statement of the caller's transaction: where it is the only one, it is one by itself.

    A transaction begins with its first statement, so one in which nothing was sent has not begun: a
    BEGIN and a COMMIT, which are a round trip each, can be left out.
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
        if _has_not_begun(connection):
            raw.autocommit = False
        else:
            raw.close()  # broken off in the middle of the statement


def _has_not_begun(connection: Any) -> bool:
    driver = connection.Database
    if driver.__name__ != "psycopg":  # but psycopg2, which cannot tell
        return False
    return bool(connection.connection.info.transaction_status == driver.pq.TransactionStatus.IDLE)


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
        "moved": f"UPDATE {_table(run)} SET {_assign(run, columns)} WHERE id = %(id)s AND"
        f" {' AND '.join(_assign(run, [name], 'fence_') for name in fence)} RETURNING id"
    }
    if ends_wait and Suspension not in models:
        parts["freed"] = f"DELETE FROM {_table(Suspension)} WHERE run_id = {moved}"
    if marks:
        parts["marked"] = f"UPDATE {_table(Signal)} SET {_assign(Signal, marks, 'mark_')} WHERE id = %(message)s"
        parts["marked"] += f" AND EXISTS {moved}"
    for index, model in enumerate(models):
        parts[f"added{index}"] = _insert(model, f"{index}_")
    return f"WITH {', '.join(f'{name} AS ({sql})' for name, sql in parts.items())} SELECT id FROM moved"


def _insert(model: type[Model], prefix: str) -> str:
    fields = _inserted(model)
    names = ", ".join(_quoted(field.column) for field in fields)
    values = ", ".join(_parameter(field, prefix) for field in fields)
    sql = f"INSERT INTO {_table(model)} ({names}) SELECT {values} FROM moved"
    if model is Suspension:  # one that is over makes room for it
        others = [_quoted(field.column) for field in fields if not field.primary_key]
        sql += f" ON CONFLICT (run_id) DO UPDATE SET {', '.join(f'{name} = EXCLUDED.{name}' for name in others)}"
    return sql


def _parameters(writes: Writes) -> dict[str, Any]:
    parameters = {"id": writes.run.pk, **_values(WorkflowRun, writes.columns)}
    parameters.update(_values(WorkflowRun, writes.fence, "fence_"))
    for index, row in enumerate(writes.rows):
        for field in _inserted(type(row)):
            parameters[f"{index}_{field.attname}"] = _value(field, getattr(row, field.attname))
    if writes.message:
        parameters["message"] = writes.message.pk
        parameters.update(_values(Signal, writes.marks, "mark_"))
    return parameters


def _values(model: type[Model], values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    fields = {name: _field(model, name) for name in values}
    return {f"{prefix}{field.attname}": _value(field, values[name]) for name, field in fields.items()}


def _value(field: AnyField, value: Any) -> Any:
    return json.dumps(value, cls=field.encoder) if isinstance(field, JSONField) else value


def _assign(model: type[Model], names: Any, prefix: str = "") -> str:
    fields = [_field(model, name) for name in names]
    return ", ".join(f"{_quoted(field.column)} = {_parameter(field, prefix)}" for field in fields)


def _parameter(field: AnyField, prefix: str) -> str:
    # Without its length: a cast would cut a text that is too long, where an insert refuses it.
    kind = (field.rel_db_type if field.is_relation else field.db_type)(connections[rows.alias()])
    return f"%({prefix}{field.attname})s::{(kind or '').partition('(')[0]}"


@cache
def _inserted(model: type[Model]) -> tuple[AnyField, ...]:
    return tuple(field for field in model._meta.concrete_fields if not field.db_returning)


@cache
def _field(model: type[Model], name: str) -> AnyField:
    return cast(AnyField, model._meta.get_field(name))


def _table(model: type[Model]) -> str:
    return _quoted(model._meta.db_table)


def _quoted(name: str | None) -> str:
    return connections[rows.alias()].ops.quote_name(name or "")
