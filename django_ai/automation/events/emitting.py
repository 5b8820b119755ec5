"""Events that no model declares: code says that they happen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db.models import Model

from .. import clock
from .definitions import name_fault

if TYPE_CHECKING:
    from .models import Event


def emit(
    name: str, entity: Model | None = None, data: Mapping[str, Any] | None = None, correlate: object = None
) -> Event:
    """Make an event occur as soon as the present transaction commits; nothing happens if it rolls back.

    Args:
        name: the event's name.
        entity: the row of a model it is about, saved.
        data: what subscribers may want to know; JSON must be able to hold it.
        correlate: the correlation key; the entity's primary key by default.

    Returns:
        The event, not yet occurred.

    Raises:
        ValueError: the name is empty or too long, the entity is not saved, a key is too long.
        TypeError: JSON cannot hold the data.
    """
    from . import verdicts
    from .announcing import announce
    from .models import Event, database
    from .registry import label_of

    if fault := name_fault(name):
        raise ValueError(fault)
    if entity is not None and entity.pk is None:
        raise ValueError(f"Save the {entity._meta.verbose_name} before you emit {name!r} for it.")
    entity_id = "" if entity is None else verdicts.pk_text(entity)
    now = clock.read(database())
    event = Event(
        name=name,
        entity_type="" if entity is None else label_of(type(entity)),
        entity_id=entity_id,
        correlation=entity_id if correlate is None else verdicts.correlation_text(correlate),
        data=verdicts.as_data(data or {}),
        at=now,
        armed_at=now,
        next_due_at=now,
    )
    event.entity = entity
    event.save(using=database(), force_insert=True)
    announce([event], database())
    return event
