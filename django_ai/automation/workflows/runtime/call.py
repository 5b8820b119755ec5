"""The call of a step's own code."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from ..authoring.current import step_context
from ..authoring.registry import registry
from ..authoring.subflow import SubflowResult
from ..machine import context as contexts
from ..machine.definition import StepDefinition, WorkflowDefinition
from ..machine.statuses import WorkflowStatus
from ..models import WorkflowRun


def call(
    definition: WorkflowDefinition,
    step: StepDefinition,
    run: WorkflowRun,
    context: BaseModel,
    **arguments: Any,
) -> object:
    """Call a step and return what it returns. ``arguments`` beside those stored with the run."""
    instance = definition.cls()
    instance.context = context
    instance.run_id = run.pk
    # The same in every attempt of this visit, and in no other visit: for services that ask for one.
    instance.idempotency_key = f"{run.name}:{run.pk}:{run.sequence}"
    for name, value in run.inputs.items():
        if name in step.parameters:
            arguments[name] = _INPUTS[name](value)
    with step_context(context):
        return step.function(instance, **arguments)


def _subflow_result(data: dict[str, Any]) -> SubflowResult[Any]:
    child = registry.find(data["workflow"], data["version"])
    return SubflowResult(
        status=WorkflowStatus(data["status"]),
        context=contexts.load(child.context_class, data["data"]),
        run_id=data["run_id"],
        error=data["error"],
    )


# How each stored argument becomes what the step's parameter of that name receives.
_INPUTS = {"subflow_result": _subflow_result}
