"""The functions by which a step says what comes next; each returns a command, which is data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ...signatures import strict
from ..exceptions import InvalidCommand
from ..machine.commands import Complete, Fail, Goto, RunSubflow, Sleep
from ..machine.definition import WorkflowDefinition
from .arguments import (
    StepReference,
    as_display,
    as_duration,
    as_moment,
    as_optional_reference,
    as_progress,
    as_reference,
)
from .inputs import inputs_of, misfit
from .registry import registry


@strict("goto()", InvalidCommand)
def goto(step: StepReference, progress: float | None = None) -> Goto:
    """Go on with another step.

    Args:
        step: the step, as ``self.step`` or by name.
        progress: how far the run is by then, 0 to 1 (values outside are clamped); None leaves it.
    """
    return Goto(step=as_reference(step, "goto()"), progress=as_progress(progress))


@strict("sleep()", InvalidCommand)
def sleep(
    delay: timedelta | float | None = None,
    *,
    until: datetime | None = None,
    then: StepReference | None = None,
    progress: float | None = None,
    display_title: str | None = None,
    display_subtitle: str | None = None,
) -> Sleep:
    """Let the run rest, holding nothing but a row.

    Args:
        delay: for how long, as a timedelta or in seconds; not negative.
        until: or until when, as an aware datetime; a moment in the past ends at once.
        then: the step that follows; by default the same step runs again.
        progress: as for ``goto``.
        display_title, display_subtitle: what ``run.waiting_display`` shows meanwhile.

    Raises:
        InvalidCommand: neither or both of delay and until, a negative delay, a naive datetime.
    """
    if (delay is None) == (until is None):
        raise InvalidCommand("sleep() takes either a delay or until=.")
    return Sleep(
        delay=None if delay is None else as_duration(delay, "sleep()"),
        until=None if until is None else as_moment(until, "sleep(until=)"),
        then=as_optional_reference(then, "sleep(then=)"),
        progress=as_progress(progress),
        display=as_display(display_title=display_title, display_subtitle=display_subtitle),
    )


@strict("run_subflow()", InvalidCommand)
def run_subflow(
    workflow: str | type,
    /,
    on_complete: StepReference,
    *,
    timeout: timedelta | float | None = None,
    on_timeout: StepReference | None = None,
    progress: float | None = None,
    display_title: str | None = None,
    display_subtitle: str | None = None,
    context: Mapping[str, Any] | None = None,
    **fields: Any,
) -> RunSubflow:
    """Start a child run and wait for its end.

    Args:
        workflow: the child's workflow, as its class or its name.
        on_complete: the step to go on with when the child has ended, well or not; its parameter
            ``subflow_result`` receives a SubflowResult.
        timeout: how long to wait at most; the child is cancelled then.
        on_timeout: the step to go on with then; without one the run fails.
        progress, display_title, display_subtitle: as for ``sleep``.
        fields: what the child starts with, as for ``engine.start``.
        context: the same as a dict, for fields that are named as one of these options.

    Raises:
        UnknownWorkflow: no such workflow.
        InvalidCommand: a keyword that the child does not take, or that may be meant for an option and for the child.
    """
    definition = registry.find(workflow)
    options = {
        "on_complete": on_complete,
        "timeout": timeout,
        "on_timeout": on_timeout,
        "progress": progress,
        "display_title": display_title,
        "display_subtitle": display_subtitle,
    }
    return RunSubflow(
        workflow=definition.name,
        version=definition.version,
        on_complete=as_reference(on_complete, "run_subflow(on_complete=)"),
        context=_child_context(definition, context, fields, options),
        timeout=None if timeout is None else as_duration(timeout, "timeout="),
        on_timeout=as_optional_reference(on_timeout, "on_timeout="),
        progress=as_progress(progress),
        display=as_display(display_title=display_title, display_subtitle=display_subtitle),
    )


@strict("complete()", InvalidCommand)
def complete(*, display_title: str | None = None, display_subtitle: str | None = None, **fields: Any) -> Complete:
    """End the run successfully, at progress 1.

    Args:
        display_title, display_subtitle: what ``run.completion_display`` shows.
        fields: merge into the context; those that the Context does not declare are ignored.
    """
    display = as_display(display_title=display_title, display_subtitle=display_subtitle)
    return Complete(fields=fields, display=display)


@strict("fail()", InvalidCommand)
def fail(
    reason: str = "",
    *,
    display_title: str | None = None,
    display_subtitle: str | None = None,
    retryable: bool = False,
) -> Fail:
    """End the run as failed, without a retry; what the step wrote is kept.

    Args:
        reason: the run's ``error``.
        display_title, display_subtitle: what ``run.completion_display`` shows.
        retryable: let ``engine.retry`` repeat the step as if it had raised; by default it refuses.
    """
    display = as_display(display_title=display_title, display_subtitle=display_subtitle)
    return Fail(reason=str(reason), display=display, retryable=bool(retryable))


def _child_context(
    definition: WorkflowDefinition,
    context: Mapping[str, Any] | None,
    fields: Mapping[str, Any],
    options: Mapping[str, object],
) -> Mapping[str, Any]:
    given = {} if context is None else context
    if not isinstance(given, Mapping):
        raise InvalidCommand(f"run_subflow(context=) takes a dict of fields of {definition.name!r}.")
    taken = inputs_of(definition).names
    ambiguous = [name for name, value in options.items() if value is not None and name in taken]
    if context is None and ambiguous:
        name = ambiguous[0]
        raise InvalidCommand(
            f"run_subflow({name}=…) is an option, and {definition.name!r} takes {name!r} too. Pass what is the"
            f" child's as context={{{name!r}: …}}; beside context=, {name}= is the option."
        )
    if twice := sorted(given.keys() & fields.keys()):
        raise InvalidCommand(f"run_subflow() has {twice[0]!r} twice: in context= and as {twice[0]}=.")
    if misplaced := sorted((given.keys() & options.keys()) - taken) if not inputs_of(definition).anything else []:
        name = misplaced[0]
        raise InvalidCommand(f"run_subflow(context=) has {name!r}, an option: write {name}= beside context=.")
    if fault := misfit(definition, {**given, **fields}, *options, "context"):
        raise InvalidCommand(f"run_subflow(): the workflow {fault}")
    return {**given, **fields}
