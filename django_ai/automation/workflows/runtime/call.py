"""The call of a step's own code."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import connections
from pydantic import BaseModel

from .. import logs
from ..authoring.current import step_context
from ..authoring.registry import registry
from ..authoring.subflow import SubflowResult
from ..machine import context as contexts
from ..machine.definition import StepDefinition, WorkflowDefinition
from ..machine.statuses import WorkflowStatus
from ..models import WorkflowRun
from . import rows

logger = logging.getLogger(__name__)


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
    connection = connections[rows.alias()]
    hooks = len(connection.run_on_commit)
    with step_context(context):
        value = step.function(instance, **arguments)
    if len(connection.run_on_commit) > hooks:
        _let_hooks_fail_alone(connection, hooks, run)
    return value


def _let_hooks_fail_alone(connection: Any, first: int, run: WorkflowRun) -> None:
    """Let what a step left to be done after its commit fail without a trace in the run, which has moved by then.

    Django drops all further hooks when one raises, and those are the messages for what comes next.
    """
    connection.run_on_commit[first:] = [
        (savepoints, partial(_call_hook, hook, run.pk), True)
        for savepoints, hook, *_ in connection.run_on_commit[first:]
    ]


def _call_hook(hook: Callable[[], object], run_id: int) -> None:
    try:
        hook()
    except Exception:
        text = "What a step of run #%s had left to be done after its commit failed; the run goes on."
        logger.exception(text, run_id, extra=logs.fields(run_id=run_id))


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
