"""Whether the database has the tables and columns that the commands need."""

from __future__ import annotations

from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor

from ...events.models import Event
from ..models import WorkflowRun
from ..runtime import rows

MIGRATE = "The database lacks tables or columns of the workflows: run manage.py migrate first."


def are_missing() -> bool:
    """Return whether migrations of the two apps have not run yet; False where the database does not answer."""
    labels = {model._meta.app_label for model in (WorkflowRun, Event)}
    try:
        executor = MigrationExecutor(connections[rows.alias()])
        return bool(executor.migration_plan([node for node in executor.loader.graph.leaf_nodes() if node[0] in labels]))
    except DatabaseError:
        return False
