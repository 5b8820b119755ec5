"""The texts of PostgreSQL's statements, each made once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from django.db.models import Model

from ..models import Signal, Suspension, WorkflowRun
from . import sql

# So many runs are looked at, however many wait for other queues or are being done.
NEAR = 20


@cache
def claim(now: str, *, first: bool) -> str:
    """Return what claims a run at a fence, of its step's ``first`` attempt or a further one."""
    sets = ["attempt = attempt + 1", f"lease_until = {now} + %(lease)s"] + [f"visit_started_at = {now}"] * first
    fence = [f"{name} = %({name})s" for name in ("id", "status", "sequence", "attempt")]
    free = f"(lease_until IS NULL OR lease_until < {now})"
    return (
        f"UPDATE {sql.table(WorkflowRun)} SET {', '.join(sets)} WHERE {' AND '.join([*fence, free])}"
        f" RETURNING {sql.columns(WorkflowRun)}, {now}"
    )


@cache
def claim_another(now: str) -> str:
    """Return what claims one of the runs after another one."""
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


@cache
def read() -> str:
    """Return the SQL that reads a run with its suspension."""
    run, wait = sql.table(WorkflowRun), sql.table(Suspension)
    columns = f"{sql.columns(WorkflowRun)}, {sql.columns(Suspension)}"
    return f"SELECT {columns} FROM {run} LEFT JOIN {wait} ON {wait}.run_id = {run}.id WHERE {run}.id = %(id)s"


@cache
def glances(now: str, *, several: bool) -> str:
    """Return what reads one run that waits, or several, with their waits and the first messages of their inboxes."""
    run, wait, message = (sql.table(model) for model in (WorkflowRun, Suspension, Signal))
    columns = ", ".join(sql.columns(model) for model in (WorkflowRun, Suspension, Signal))
    # PostgreSQL plans a statement with an array anew each time, which takes longer than to execute it for one run.
    of_runs = f"{run}.id = ANY (%(ids)s::bigint[])" if several else f"{run}.id = %(id)s"
    first = f"SELECT * FROM {message} WHERE run_id = {run}.id AND state = %(pending)s ORDER BY id LIMIT 1"
    return (
        f"SELECT {columns}, {now} FROM {run} JOIN {wait} ON {wait}.run_id = {run}.id"
        f" LEFT JOIN LATERAL ({first}) AS {message} ON true"
        f" WHERE {of_runs} AND {run}.status = %(status)s"
    )


@cache
def wait() -> str:
    """Return what reads what a run waits for."""
    return f"SELECT {sql.columns(Suspension)} FROM {sql.table(Suspension)} WHERE run_id = %(id)s"


@cache
def lock(now: str) -> str:
    """Return what locks a run and reads it."""
    # Rows that refer to a run may be inserted while it is locked: no sender waits for it.
    columns = f"{sql.columns(WorkflowRun)}, {now}"
    return f"SELECT {columns} FROM {sql.table(WorkflowRun)} WHERE id = %(id)s FOR NO KEY UPDATE"


@cache
def pending() -> str:
    """Return what reads the messages in a run's inbox."""
    of_run = "run_id = %(run_id)s AND state = %(state)s"
    return f"SELECT {sql.columns(Signal)} FROM {sql.table(Signal)} WHERE {of_run} ORDER BY id"


@cache
def next_number() -> str:
    """Return what asks for the number of a new row."""
    return "SELECT nextval(pg_get_serial_sequence(%(table)s, 'id'))"


@cache
def new_row(model: type[Model]) -> str:
    """Return what inserts a row."""
    into, values = _into(sql.inserted(model))
    return f"{into} VALUES ({values}) RETURNING id"


@cache
def move(
    columns: tuple[str, ...],
    fence: tuple[str, ...],
    models: tuple[type[Model], ...],
    marks: tuple[str, ...],
    *,
    ends_wait: bool,
) -> str:
    """Return what writes a move: the run where it still is at the fence, and all else with it."""
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


def _into(fields: Sequence[sql.AnyField], prefix: str = "") -> tuple[str, str]:
    """Return the beginning of an INSERT into the table of these fields, and their parameters."""
    names = ", ".join(sql.quoted(field.column) for field in fields)
    return f"INSERT INTO {sql.table(fields[0].model)} ({names})", ", ".join(
        sql.parameter(field, prefix) for field in fields
    )


def _insert(model: type[Model], prefix: str) -> str:
    fields = sql.inserted(model, numbered=model is WorkflowRun)
    into, values = _into(fields, prefix)
    text = f"{into} SELECT {values} FROM moved"
    if model is Suspension:  # one that is over makes room for it
        others = [sql.quoted(field.column) for field in fields if not field.primary_key]
        text += f" ON CONFLICT (run_id) DO UPDATE SET {', '.join(f'{name} = EXCLUDED.{name}' for name in others)}"
    return text
