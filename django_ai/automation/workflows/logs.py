"""Which run a log line is about: fields for the engine's own lines, and a filter that gives them to yours."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

# The logger above all of django_ai's: configure this one.
NAMESPACE = "django_ai"

# What a line that is about no run carries.
NOTHING: dict[str, Any] = {"run_id": None, "workflow": "", "step": "", "attempt": None}

# The fields of the run whose step this thread runs right now.
running: ContextVar[dict[str, Any]] = ContextVar("workflow_run", default=NOTHING)


def about(run: Any) -> dict[str, Any]:
    """Return the fields that a log line about a run carries, for ``extra=``."""
    return {"run_id": run.pk, "workflow": run.name, "step": run.current_step, "attempt": run.attempt}


def fields(**known: Any) -> dict[str, Any]:
    """Return the fields of a line of which less than a run is known."""
    return {**NOTHING, **known}


class RunFilter(logging.Filter):
    """Gives every log line ``run_id``, ``workflow``, ``step`` and ``attempt``: those of the step that wrote it.

    Lines that name a run themselves keep what they say; outside of steps the fields are empty.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields; let every line pass."""
        for name, value in running.get().items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True
