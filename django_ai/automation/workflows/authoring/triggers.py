"""The @event_workflow decorator: a workflow that events start."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from ..exceptions import DeclarationError
from ..machine.definition import EventTrigger, Retry
from .workflow import check_name, declare

WorkflowClass = TypeVar("WorkflowClass", bound=type)


def event_workflow(
    event_name: str,
    offset_minutes: float = 0,
    *,
    offset: Any = timedelta(0),
    debounce: timedelta | None = None,
    debounce_key: Callable[[Any], object] | None = None,
    name: str | None = None,
    version: str = "1",
    default_retry: Retry | None = None,
    queue: str | None = None,
    retention: timedelta | None = None,
) -> Callable[[WorkflowClass], WorkflowClass]:
    """Register a class as a workflow of which each occurrence of an event starts one run.

    Args:
        event_name: the event, as its EventDefinition or ``emit`` names it.
        offset_minutes: when the run starts, in minutes from the event's time; negative is before it.
        offset: the same as a timedelta or anything that can be added to a datetime (relativedelta);
            both add up.
        debounce: collect a burst of events and start one run with all of them when none has come for
            this long; ``create_context(cls, events=None)`` receives the list.
        debounce_key: a function of the event; events with the same key belong to one burst. By
            default the event's correlation key.
        name: the workflow's name; by default made from the event and the class, so that several
            workflows may listen to one event.
        version, default_retry, queue, retention: as for ``@workflow``.

    The class may define ``create_context(cls, event=None)``, which makes the context of a run, and
    ``should_run_for_event(cls, event)``, which returns whether this occurrence starts one.

    Raises:
        DeclarationError: the class is declared wrongly.
    """
    check_name(event_name, "@event_workflow")
    if debounce is not None and debounce <= timedelta(0):
        raise DeclarationError(f"@event_workflow(debounce={debounce!r}) must be a positive timedelta.")
    if debounce_key is not None and debounce is None:
        raise DeclarationError("@event_workflow(debounce_key=) needs debounce= beside it.")
    when = offset + timedelta(minutes=offset_minutes) if offset_minutes else offset

    def decorate(cls: WorkflowClass) -> WorkflowClass:
        declare(
            cls,
            name=name or f"{event_name}:{cls.__name__}",
            version=version,
            retry=default_retry,
            queue=queue,
            retention=retention,
            trigger=EventTrigger(event=event_name, offset=when, debounce=debounce, debounce_key=debounce_key),
        )
        return cls

    return decorate
