"""How a worker takes a message: with database connections that work."""

from __future__ import annotations

from typing import Any

from celery import Task
from django.db import connections


class DatabaseTask(Task):  # type: ignore[type-arg]
    """A task that does not inherit a connection which died under an earlier one.

    Celery keeps connections for CELERY_DB_REUSE_MAX tasks even when the database was restarted in
    between. ``close_old_connections`` would close the healthy ones as well where CONN_MAX_AGE is 0.
    """

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Close the connections that failed; Django opens them anew."""
        for connection in connections.all(initialized_only=True):
            if connection.errors_occurred and not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
