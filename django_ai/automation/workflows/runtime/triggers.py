"""Events start the workflows that listen to them, each occurrence one run of each."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from ...events.models import Event
from ...events.subscriptions import subscribe
from ..authoring.registry import registry
from ..exceptions import ContextInvalid, pydantic_reasons
from ..machine.definition import WorkflowDefinition
from ..models import WorkflowRun
from . import commit, rows, waits


def connect() -> None:
    """Subscribe the waits for events, and every workflow that an event starts."""
    subscribe("workflows.waits", waits.answer_waits)
    registry.watch(_subscribe)


def _subscribe(definition: WorkflowDefinition) -> None:
    trigger = definition.trigger
    if trigger is not None:
        # Looked up by name when the event occurs, so that a reload or a new version takes over.
        handler = _Starter(definition.name)
        subscribe(f"workflow:{definition.name}", handler, event=trigger.event, offset=trigger.offset)


class _Starter:
    """Starts a run of one workflow for each event, in the transaction in which the events occur."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, events: Sequence[Event]) -> None:
        definition = registry.get(self.name)
        if definition is not None:
            start_for_events(definition, events)


def start_for_events(definition: WorkflowDefinition, events: Sequence[Event]) -> list[WorkflowRun]:
    """Start one run for each event that has not started one of this workflow yet."""
    started = WorkflowRun.objects.using(rows.alias()).filter(
        name=definition.name, triggered_by_event_id__in=[event.pk for event in events]
    )
    known = set(started.values_list("triggered_by_event_id", flat=True))
    wanted = [event for event in events if event.pk not in known and _should_run(definition, event)]
    return commit.create_many(
        definition,
        [(make_event_context(definition, event), {"triggered_by_event_id": event.pk}) for event in wanted],
    )


def _should_run(definition: WorkflowDefinition, event: Event) -> bool:
    hook = getattr(definition.cls, "should_run_for_event", None)
    return True if hook is None else bool(hook(event))


def make_event_context(definition: WorkflowDefinition, event: Event) -> BaseModel:
    """Return the context of a run that ``event`` starts. Raises ContextInvalid."""
    hook = getattr(definition.cls, "create_context", None)
    try:
        context = _call_hook(hook, event) if hook else definition.context_class()
    except ValidationError as error:
        raise ContextInvalid(
            f"Workflow {definition.name!r} cannot start for event {event.name!r}:"
            f" {pydantic_reasons(error.errors())}."
        ) from error
    if not isinstance(context, definition.context_class):
        raise ContextInvalid(
            f"{definition.cls.__name__}.create_context must return a Context, not {context!r}."
        )
    return context


def _call_hook(hook: Any, event: Event) -> Any:
    takes_event = "event" in inspect.signature(hook).parameters
    return hook(event=event) if takes_event else hook()
