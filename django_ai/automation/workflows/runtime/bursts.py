"""Debounced triggers: a burst of events starts one run, when no further one has come for a while."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from ... import clock
from ...conf import settings
from ...events import consequences
from ...events.models import Event
from ...events.verdicts import correlation_text
from .. import logs
from ..authoring.registry import registry
from ..exceptions import describe
from ..machine.definition import WorkflowDefinition
from ..models import EventBurst
from . import creating, rows
from .contexts import event_context

logger = logging.getLogger(__name__)


def collect(definition: WorkflowDefinition, events: Sequence[Event]) -> None:
    """Add events to the bursts of their keys, in the caller's transaction; each starts its time anew."""
    trigger = definition.trigger
    if trigger is None or trigger.debounce is None:
        return
    by_key = defaultdict(list)
    for event in events:
        key = trigger.debounce_key(event) if trigger.debounce_key else event.correlation
        by_key[correlation_text(key)].append(event.pk)
    due_at = clock.read(rows.alias()) + trigger.debounce
    for key, event_ids in sorted(by_key.items()):
        _extend(definition.name, key, event_ids, due_at)


def _extend(workflow: str, key: str, event_ids: list[int], due_at: datetime) -> None:
    bursts = EventBurst.objects.using(rows.alias())
    burst, created = bursts.select_for_update().get_or_create(
        workflow=workflow, key=key, defaults={"event_ids": event_ids, "due_at": due_at}
    )
    if not created:
        burst.event_ids = list(dict.fromkeys([*burst.event_ids, *event_ids]))
        burst.due_at = due_at
        burst.save()


def start_due() -> int:
    """Start a run for each burst whose time has come; return how many. Any number may do so at once."""
    due = EventBurst.objects.using(rows.alias()).filter(due_at__lte=clock.now()).order_by("due_at")
    ids = list(due.values_list("pk", flat=True)[: settings.BATCH_SIZE])
    return sum(_start(burst_id) for burst_id in ids)


def _start(burst_id: int) -> bool:
    bursts = EventBurst.objects.using(rows.alias()).filter(pk=burst_id, due_at__lte=clock.now())
    with rows.transaction_of_runs():
        burst = bursts.select_for_update(**rows.lock_options(skip_locked=True)).first()
        if burst is None:
            return False
        try:
            with rows.transaction_of_runs():
                _start_run(burst)
        except Exception as error:  # the user's create_context may raise anything
            text = "Workflow %r could not be started for a burst of events."
            logger.exception(text, burst.workflow, extra=logs.fields(workflow=burst.workflow))
            events = Event.objects.using(rows.alias()).filter(pk__in=burst.event_ids)
            burst.error = consequences.redactor_of(*events)(describe(error))
            burst.due_at = clock.now() + timedelta(seconds=settings.EVENT_RETRY_SECONDS)
            burst.save()
            return False
        burst.delete()
    return True


def _start_run(burst: EventBurst) -> None:
    definition = registry.find(burst.workflow)
    events = list(Event.objects.using(rows.alias()).filter(pk__in=burst.event_ids).order_by("at", "id"))
    context = event_context(definition, events[-1] if events else None, events=events)
    creating.create(definition, context, triggered_by_event_id=burst.event_ids[0])
