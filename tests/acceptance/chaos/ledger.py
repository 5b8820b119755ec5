"""What the judge reads: the moves that PostgreSQL itself noted, and what steps and customers wrote."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, LiteralString, NamedTuple

import psycopg

RUN = "django_ai_workflows_workflowrun"

# A trigger notes each claim, move and resend, whoever makes it and however: no code of the engine is
# trusted with it. Heartbeats, which move nothing, are left out.
NOTE_MOVES: LiteralString = """
    CREATE TABLE chaos_move (
        id bigserial PRIMARY KEY, run_id bigint, at timestamptz DEFAULT clock_timestamp(),
        who text DEFAULT current_setting('application_name'),
        status text, sequence int, attempt int, leased boolean
    );
    CREATE FUNCTION note_move() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' OR (NEW.status, NEW.sequence, NEW.attempt, NEW.dispatched_at, NEW.lease_until IS NULL)
            IS DISTINCT FROM (OLD.status, OLD.sequence, OLD.attempt, OLD.dispatched_at, OLD.lease_until IS NULL)
        THEN
            INSERT INTO chaos_move (run_id, status, sequence, attempt, leased)
            VALUES (NEW.id, NEW.status, NEW.sequence, NEW.attempt, NEW.lease_until IS NOT NULL);
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER note_move AFTER INSERT OR UPDATE ON django_ai_workflows_workflowrun
    FOR EACH ROW EXECUTE FUNCTION note_move();
"""
MOVES: LiteralString = "SELECT run_id, at, who, status, sequence, attempt, leased FROM chaos_move ORDER BY id"
RUNS: LiteralString = """
    SELECT id, name, status, current_step, sequence, attempt, error, parent_run_id, triggered_by_event_id
    FROM django_ai_workflows_workflowrun ORDER BY id
"""
ENTRIES: LiteralString = "SELECT visit, step, atomic, note, at FROM chaos_entry ORDER BY id"
HISTORY: LiteralString = """
    SELECT run_id, step_name, status FROM django_ai_workflows_stepexecution ORDER BY run_id, sequence
"""
LEFT_OVER: LiteralString = """
    SELECT (SELECT count(*) FROM django_ai_workflows_suspension),
           (SELECT count(*) FROM django_ai_workflows_signal WHERE state = 'pending')
"""
COUNTS: LiteralString = "SELECT status, count(*) FROM django_ai_workflows_workflowrun GROUP BY status"

LAST_CLAIM: LiteralString = "SELECT who FROM chaos_move WHERE leased AND status = 'running' ORDER BY id DESC LIMIT 1"
TICKED: LiteralString = "SELECT 1 FROM django_ai_workflows_pulse WHERE name = 'tick' AND at IS NOT NULL"


class Move(NamedTuple):
    run: int
    at: datetime
    who: str
    status: str
    sequence: int
    attempt: int
    leased: bool


class Run(NamedTuple):
    id: int
    kind: str
    status: str
    step: str
    sequence: int
    attempt: int
    error: str
    parent: int | None
    event: int | None


class Entry(NamedTuple):
    step: str
    atomic: bool
    note: str
    at: datetime


@dataclass(frozen=True)
class Books:
    """Everything that was written down, by run."""

    runs: dict[int, Run]
    moves: dict[int, list[Move]]
    visits: dict[int, dict[int, list[Entry]]]
    history: dict[int, list[tuple[str, str]]]
    promises: list[dict[str, Any]]
    left_over: tuple[int, int]


def prepare(url: str) -> None:
    """Have the database note every move from now on."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(NOTE_MOVES)


def counts(url: str) -> dict[str, int]:
    """Return how many runs there are in each status; nothing while the database is away."""
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            return dict(connection.execute(COUNTS).fetchall())
    except psycopg.Error:
        return {}


def last_claimer(url: str) -> str:
    """Return who has claimed a step last, and so is probably at it: its life and pid; or an empty string."""
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            found = connection.execute(LAST_CLAIM).fetchall()
    except psycopg.Error:
        return ""
    return str(found[0][0]) if found else ""


def ticks(url: str) -> bool:
    """Say whether a worker has done what beat asked for."""
    with psycopg.connect(url) as connection:
        return bool(connection.execute(TICKED).fetchall())


def read(url: str, promised: Path) -> Books:
    """Read all books, when everything has come to rest."""
    with psycopg.connect(url) as connection:

        def rows(query: LiteralString) -> Iterable[tuple[Any, ...]]:
            return connection.execute(query).fetchall()

        return Books(
            runs={row[0]: Run(*row) for row in rows(RUNS)},
            moves=_by_run((row[0], Move(*row)) for row in rows(MOVES)),
            visits=_visits(rows(ENTRIES)),
            history=_by_run((run, (step, status)) for run, step, status in rows(HISTORY)),
            promises=[json.loads(line) for line in promised.read_text().splitlines()],
            left_over=next(iter(rows(LEFT_OVER))),
        )


def _by_run(pairs: Iterable[tuple[int, Any]]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = defaultdict(list)
    for run, value in pairs:
        found[run].append(value)
    return found


def _visits(rows: Iterable[tuple[Any, ...]]) -> dict[int, dict[int, list[Entry]]]:
    found: dict[int, dict[int, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for visit, *entry in rows:
        _, run, sequence = visit.rsplit(":", 2)
        found[int(run)][int(sequence)].append(Entry(*entry))
    return found
