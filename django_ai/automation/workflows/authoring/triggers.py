"""The @event_workflow decorator: a workflow that events start."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from ... import storable
from ...events.definitions import name_fault
from ...events.subscriptions import WrongSubscription, total_offset
from ...signatures import strict, wrong_callback
from ..exceptions import DeclarationError
from ..machine.definition import EventTrigger, Retry
from .workflow import check_name, declare

WorkflowClass = TypeVar("WorkflowClass", bound=type)


@strict("@event_workflow", DeclarationError)
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
    event_name = check_name(event_name, "@event_workflow")
    if name is not None:
        name = check_name(name, f"@event_workflow({event_name!r}, name=…)")
    trigger = _trigger(event_name, offset, offset_minutes, debounce, debounce_key)

    def decorate(cls: WorkflowClass) -> WorkflowClass:
        declare(
            cls,
            name=name or f"{event_name}:{cls.__name__}",
            version=version,
            retry=default_retry,
            queue=queue,
            retention=retention,
            trigger=trigger,
        )
        return cls

    return decorate


def _trigger(event: str, offset: Any, minutes: Any, debounce: Any, debounce_key: Any) -> EventTrigger:
    where = f"@event_workflow({event!r}): "
    if fault := name_fault(event):
        raise DeclarationError(where + fault)
    try:
        when = total_offset(offset, minutes)
    except WrongSubscription as error:
        raise DeclarationError(f"{where}{error}") from None
    longest = storable.LONGEST_PAUSE
    if debounce is not None and not (isinstance(debounce, timedelta) and timedelta(0) < debounce <= longest):
        raise DeclarationError(
            f"{where}debounce= takes a positive timedelta, not {debounce!r}, and at most a thousand years."
        )
    if debounce_key is not None and debounce is None:
        raise DeclarationError(f"{where}debounce_key= needs debounce= beside it.")
    if debounce_key is not None and (fault := wrong_callback(debounce_key, None)):
        example = "debounce_key=lambda event: event.entity_id"
        raise DeclarationError(f"{where}debounce_key= is called with an event, as in {example}; it {fault}.")
    return EventTrigger(event=event, offset=when, debounce=debounce, debounce_key=debounce_key)
