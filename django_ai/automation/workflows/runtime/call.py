"""The call of a step's own code."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from django.db import connections
from pydantic import BaseModel

from ...signatures import closest, did_you_mean
from .. import logs
from ..authoring.current import bind, step_context
from ..authoring.methods import SUBFLOW_RESULT, SUPPLIED
from ..authoring.registry import registry
from ..authoring.subflow import AbsentContext, SubflowResult
from ..authoring.workflow import instance_fault
from ..exceptions import ContextInvalid, DeclarationError, UnknownWorkflow
from ..machine import context as contexts
from ..machine.definition import StepDefinition, WorkflowDefinition
from ..machine.happenings import Returned
from ..machine.redaction import told
from ..machine.statuses import WorkflowStatus
from ..models import WorkflowRun
from . import redaction, rows, stopping
from .timeouts import StepInterrupted

logger = logging.getLogger(__name__)


class HasContext(Protocol):
    """A claim: it keeps the context of its step."""

    context: BaseModel | None


def call(
    definition: WorkflowDefinition,
    step: StepDefinition,
    run: WorkflowRun,
    claim: HasContext,
    /,  # a form may have fields of these names
    **arguments: Any,
) -> Returned:
    """Call a step with the context of a claim, and return its result and the context as it left it.

    If the step raises, the claim has the context as the step left it.

    Args:
        arguments: beside those stored with the run.

    Raises:
        Ended: the step itself raised a BaseException that is no Exception, such as SystemExit.
    """
    try:
        return _call(definition, step, run, claim, arguments)
    except (Exception, StepInterrupted):
        raise
    except BaseException as error:
        if stopping.is_shutdown(error):
            raise
        raise Ended(error) from None


class Ended(Exception):
    """Wraps a BaseException of the step, such as SystemExit, so that it settles the attempt and not the worker."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


def reason(error: Exception) -> BaseException:
    """Return the exception that the step raised."""
    return error.error if isinstance(error, Ended) else error


def _call(
    definition: WorkflowDefinition,
    step: StepDefinition,
    run: WorkflowRun,
    claim: HasContext,
    arguments: dict[str, Any],
) -> Returned:
    instance = _instance(definition)
    # The same in every attempt of this visit, and in no other visit: for services that ask for one.
    own = {"run_id": run.pk, "idempotency_key": f"{run.name}:{run.pk}:{run.sequence}"}
    if not hasattr(definition.cls, "attempt"):  # which may be a step of the workflow
        own["attempt"] = run.attempt - sum(not failure.get("counts", True) for failure in run.failures)
    for name, value in run.inputs.items():
        if name in step.parameters:
            arguments[name] = _INPUTS[name](value)
    if missing := step.required - arguments.keys():
        raise DeclarationError(_not_supplied(definition, step, min(missing)))
    connection = connections[rows.alias()]
    hooks = len(connection.run_on_commit)
    assert claim.context is not None
    with step_context(claim.context, step.name) as running:
        bind(instance, running, **own)
        try:
            value = step.function(instance, **arguments)
        except AttributeError as error:
            if text := _not_there(definition, step, instance, running.context, error):
                raise DeclarationError(text) from error
            raise
        finally:
            claim.context = running.context
    if len(connection.run_on_commit) > hooks:
        _let_hooks_fail_alone(connection, hooks, run)
    return Returned(value, running.context)


def _instance(definition: WorkflowDefinition) -> Any:
    try:
        return definition.cls()
    except TypeError:
        # A decorator above @workflow, such as @dataclass, may have changed the class after it was declared.
        if fault := instance_fault(definition.cls):
            raise DeclarationError(fault) from None
        raise


def _not_supplied(definition: WorkflowDefinition, step: StepDefinition, name: str) -> str:
    how = (
        f"which only run_subflow(…, on_complete=self.{step.name}) supplies, and the run came here by another way."
        f" Give it a default: {name}=None."
        if name in SUPPLIED
        else "which nothing supplies."
    )
    return f"Step {definition.cls.__name__}.{step.name} ({step.place}) takes {name!r}, {how}"


def _not_there(
    definition: WorkflowDefinition, step: StepDefinition, instance: object, context: BaseModel, error: AttributeError
) -> str | None:
    """Return the error for an attribute that the workflow or its context lacks, which no retry can mend."""
    where, name, cls = f"Step {definition.cls.__name__}.{step.name} ({step.place})", error.name, definition.cls
    if name is None or hasattr(cls, name):
        return None
    if error.obj is instance:
        hint = closest(name, definition.steps) or f"Data belongs to the Context: self.context.{name}."
        return f"{where} uses self.{name}, which {cls.__name__} does not have. {hint}"
    if error.obj is context:
        hint = did_you_mean(name, definition.context_class.model_fields, "It has")
        return f"{where} reads {name!r} of its context, which the Context does not declare. {hint}"
    return None


def _let_hooks_fail_alone(connection: Any, first: int, run: WorkflowRun) -> None:
    """Let what a step left to be done after its commit fail without a trace in the run, which has moved by then.

    Django drops all further hooks when one raises, and those are the messages for what comes next.
    """
    connection.run_on_commit[first:] = [
        (savepoints, partial(_call_hook, hook, run), True) for savepoints, hook, *_ in connection.run_on_commit[first:]
    ]


def _call_hook(hook: Callable[[], object], run: WorkflowRun) -> None:
    try:
        hook()
    except BaseException as error:
        if stopping.is_shutdown(error):
            raise
        text = "What a step of run #%s had left to be done after its commit failed; the run goes on."
        shown = told(error, redaction.redactor_of(run))
        logger.exception(text, run.pk, extra=logs.fields(run_id=run.pk), exc_info=shown)


def _subflow_result(data: dict[str, Any]) -> SubflowResult[Any]:
    return SubflowResult(
        status=WorkflowStatus(data["status"]),
        context=_context_of_child(data),
        run_id=data["run_id"],
        error=data["error"],
    )


def _context_of_child(data: dict[str, Any]) -> Any:
    """Return the child's context, or an AbsentContext with the reason why it cannot be read."""
    if data["data"] is None:
        return AbsentContext(data["error"])
    try:
        return contexts.load(registry.find(data["workflow"], data["version"]).context_class, data["data"])
    except (UnknownWorkflow, ContextInvalid) as error:
        return AbsentContext(f"The context of the child run #{data['run_id']} cannot be read. {error}")


# How each stored argument becomes what the step's parameter of that name receives.
_INPUTS = {SUBFLOW_RESULT: _subflow_result}
