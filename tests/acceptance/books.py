"""The shop's database as a test reads it, past Django and past the shop's own code."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, LiteralString

import psycopg

from tests.acceptance.scenes import Story, Visit

RUNS = "SELECT id, parent_run_id, name, status FROM django_ai_workflows_workflowrun ORDER BY id"
HISTORY = """
    SELECT run_id, step_name, status, attempts
    FROM django_ai_workflows_stepexecution ORDER BY run_id, sequence
"""
UNFINISHED = """
    SELECT id, name, status, current_step, attempt, error
    FROM django_ai_workflows_workflowrun
    WHERE status IN ('running', 'suspended') ORDER BY id LIMIT 10
"""
# What waits for a person: the signal, and the key that it needs.
ASKING = """
    SELECT suspension.name, COALESCE(run.data ->> 'token', correlation)
    FROM django_ai_workflows_suspension AS suspension
    JOIN django_ai_workflows_workflowrun AS run ON run.id = suspension.run_id
    WHERE kind = 'signal' AND correlation IS NOT NULL
"""


class Books:
    """A connection that reads."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)

    def close(self) -> None:
        self._connection.close()

    def rows(self, query: LiteralString, *arguments: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, arguments).fetchall()

    def value(self, query: LiteralString, *arguments: Any) -> Any:
        return self.rows(query, *arguments)[0][0]

    def all_ended(self) -> bool:
        return not self.rows(UNFINISHED)

    def asking(self) -> set[tuple[str, str]]:
        return {(name, correlation) for name, correlation in self.rows(ASKING)}

    def stories(self) -> dict[int, Story]:
        """Return how each run that has no parent went, with its children, by its id."""
        history: dict[int, list[Visit]] = defaultdict(list)
        for run_id, *visit in self.rows(HISTORY):
            history[run_id].append((visit[0], visit[1], visit[2]))
        runs = self.rows(RUNS)
        children: dict[int | None, list[tuple[Any, ...]]] = defaultdict(list)
        for run in runs:
            children[run[1]].append(run)

        def story(run_id: int, name: str, status: str) -> Story:
            own = tuple(story(child, kind, end) for child, _, kind, end in children[run_id])
            return Story(name, tuple(history[run_id]), status, own)

        return {run_id: story(run_id, name, status) for run_id, _, name, status in children[None]}
