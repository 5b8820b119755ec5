"""The code that a run goes on with: the version it follows, its step, and a context that fits them."""

from __future__ import annotations

from pydantic import BaseModel

from ..exceptions import ContextInvalid, NotDeployed, UnknownStep
from ..machine import context as contexts
from ..machine.definition import StepDefinition, WorkflowDefinition
from ..models import WorkflowRun
from . import rows


def of(run: WorkflowRun) -> tuple[WorkflowDefinition, StepDefinition]:
    """Return the workflow and the step that the run's next attempt runs.

    Raises:
        NotDeployed: this process has no such workflow, or the workflow no such step.
    """
    definition = rows.definition_of(run)
    if definition is None:
        raise NotDeployed(
            f"No workflow {run.name!r} is registered in this worker. Deploy it, then call engine.retry(run)."
        )
    try:
        return definition, definition.step(run.current_step)
    except UnknownStep as error:
        raise NotDeployed(f"{error} {_way_out(run, definition)}") from None


def _way_out(run: WorkflowRun, definition: WorkflowDefinition) -> str:
    gone = "" if run.version == definition.version else f", or register version {run.version!r} again beside it"
    return (
        f"Run #{run.pk}, started with version {run.version!r}, is at that step; the code here is version"
        f" {definition.version!r}. Add aliases=[{run.current_step!r}] to the @step that took its place{gone},"
        " then call engine.retry(run)."
    )


def context_of(run: WorkflowRun, definition: WorkflowDefinition) -> BaseModel:
    """Return the context for the run's next attempt.

    Raises:
        ContextInvalid: the class has changed so that the run's data do not fit any more.
    """
    try:
        return contexts.load(definition.context_class, run.data)
    except ContextInvalid as error:
        raise ContextInvalid(
            f"Run #{run.pk} of workflow {run.name!r} cannot go on with version {definition.version!r}. {error}"
            " Give what is required a default, then call engine.retry(run)."
        ) from error
