"""What a front end shows of a run: one dict, made of the run's row and its step's declaration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .authoring.registry import registry
from .machine.commands import WaitKind
from .machine.definition import StepDefinition
from .machine.statuses import COMPLETED, RUNNING, SUSPENDED

if TYPE_CHECKING:
    from .models import WorkflowRun


def current_step_display(run: WorkflowRun) -> dict[str, Any]:
    """Return status, current_step, step_type, progress and the three displays; ``{}`` where one does not apply.

    A run that waits for its form reads ``running`` with the step type ``action``: it is the
    person's turn, so a page shows the form and no waiting screen.
    """
    step = _step(run)
    waits_for = run.waits_for
    at_form = waits_for is not None and waits_for.kind == WaitKind.FORM
    waiting = waits_for is not None and not at_form
    ended = run.status not in (RUNNING, SUSPENDED)
    return {
        "status": str(RUNNING) if at_form else str(run.status),
        "current_step": run.current_step,
        "step_type": "action" if at_form else "waiting" if waiting else "automated",
        "progress": run.progress,
        "completion_display": dict(run.completion_display) if run.status == COMPLETED else {},
        "waiting_display": run.waiting_display if waiting else {},
        "step_display": {} if ended else _step_display(step),
    }


def _step(run: WorkflowRun) -> StepDefinition | None:
    definition = registry.get(run.name, run.version)
    return definition.find(run.current_step) if definition else None


def _step_display(step: StepDefinition | None) -> dict[str, Any]:
    return step.display.as_dict() if step and step.display else {}
