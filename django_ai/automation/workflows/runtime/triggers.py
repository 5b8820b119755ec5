"""Events start the workflows that listen to them, each occurrence one run of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from django.db.models import QuerySet
from django.urls import NoReverseMatch, reverse

from ...events import consequences
from ...events.models import Event
from ...events.subscriptions import subscribe
from ..authoring.registry import registry
from ..machine.definition import WorkflowDefinition
from ..models import WorkflowRun
from . import bursts, creating, redaction, rows, waits
from .contexts import event_context

Visible = Callable[[Any, QuerySet[WorkflowRun]], QuerySet[WorkflowRun]]


def connect(visible: Visible) -> None:
    """Subscribe the waits for events, and every workflow that an event starts.

    Args:
        visible: returns those of some runs that the user of a request may know of.
    """
    subscribe("workflows.waits", waits.answer_waits)
    registry.watch(_subscribe)
    consequences.consequences.append(partial(runs_started_by, visible))
    consequences.masks.append(redaction.mask_event)
    consequences.redactors.append(redaction.redactor_of_event)


def runs_started_by(visible: Visible, event: Event, request: Any) -> list[tuple[str, str]]:
    """Return the runs that an event started, as the event's admin page shows them to the user of a request."""
    runs = visible(request, WorkflowRun.objects.using(rows.alias())).filter(triggered_by_event_id=event.pk)
    return [(f"{run} ({run.status})", _page(run)) for run in runs.order_by("id")]


def _page(run: WorkflowRun) -> str:
    try:
        return reverse("admin:django_ai_workflows_workflowrun_change", args=[run.pk])
    except NoReverseMatch:  # the project has no admin
        return ""


def _subscribe(definition: WorkflowDefinition) -> None:
    newest = registry.get(definition.name)
    trigger = newest.trigger if newest else None
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
        if definition is None or definition.trigger is None:
            return
        if definition.trigger.debounce:
            bursts.collect(definition, [event for event in events if _should_run(definition, event)])
        else:
            start_for_events(definition, events)


def start_for_events(definition: WorkflowDefinition, events: Sequence[Event]) -> list[WorkflowRun]:
    """Start one run for each event that has not started one of this workflow yet."""
    started = WorkflowRun.objects.using(rows.alias()).filter(
        name=definition.name, triggered_by_event_id__in=[event.pk for event in events]
    )
    known = set(started.values_list("triggered_by_event_id", flat=True))
    wanted = [event for event in events if event.pk not in known and _should_run(definition, event)]
    return creating.create_many(
        definition,
        [(event_context(definition, event), {"triggered_by_event_id": event.pk}) for event in wanted],
    )


def _should_run(definition: WorkflowDefinition, event: Event) -> bool:
    hook = getattr(definition.cls, "should_run_for_event", None)
    return True if hook is None else bool(hook(event))
