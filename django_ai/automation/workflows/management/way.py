"""The way that a run has taken, for the drawing of its graph."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from ..drawing.svg import Marks
from ..machine.statuses import CANCELLED, FAILED, RUNNING, SUSPENDED
from ..models import WorkflowRun

# How the step is marked that the run is at; one that completed is done.
_AT: dict[str, str] = {RUNNING: "running", SUSPENDED: "waiting", FAILED: "failed", CANCELLED: "cancelled"}


def marks_of(run: WorkflowRun) -> Marks:
    """Return where a run has been: its visits of steps and its waits, in their order."""
    visits = list(run.step_executions.order_by("sequence").values_list("sequence", "step_name"))
    waits = list(run.past_waits.order_by("sequence").values_list("sequence", "step_name"))
    visited = set(visits)
    # The wait that a visit led to adds no transition: the run has not come back to the step.
    waits = [(sequence, step) for sequence, step in waits if (sequence - 1, step) not in visited]
    been = [step for _, step in sorted(visits + waits)]
    if not been or been[-1] != run.current_step:
        been.append(run.current_step)
    steps = dict.fromkeys(been, "done")
    if run.status in _AT:
        steps[run.current_step] = _AT[run.status]
    return Marks(steps=steps, visits=Counter(step for _, step in visits), ways=frozenset(pairwise(been)))
