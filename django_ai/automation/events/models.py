"""An event as a row: one occurrence to be, its time, and what was done about it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, router
from django.db.models import Q

from .. import clock
from ..conf import require_app
from ..fields import ExactCharField, MomentField
from . import registry
from .definitions import CORRELATION_LENGTH, ENTITY_ID_LENGTH, NAME_LENGTH
from .statuses import EventStatus

require_app("django_ai.automation.events")

__all__ = ["Event", "EventQuerySet", "EventStatus", "OpenBatch"]

_UNKNOWN: Any = object()


class EventQuerySet(models.QuerySet["Event"]):
    """Verbs over events."""

    def due(self) -> EventQuerySet:
        """Events for which something is due by the engine's clock."""
        return self.filter(next_due_at__lte=clock.now())

    def pending(self) -> EventQuerySet:
        """Events that have not occurred yet."""
        return self.filter(status=EventStatus.PENDING)

    def occurred(self, name: str, *, correlation: str | None = None, since: datetime | None = None) -> EventQuerySet:
        """Events of this name that have occurred, served by an index.

        Args:
            name: the event's name.
            correlation: only those with this key.
            since: only those that occurred at this moment or later.
        """
        found = self.filter(status=EventStatus.OCCURRED, name=name)
        if correlation is not None:
            found = found.filter(correlation=correlation)
        return found if since is None else found.filter(occurred_at__gte=since)

    def of_entity(self, entity: models.Model) -> EventQuerySet:
        """Events of one row of a model."""
        return self.filter(entity_type=registry.label_of(type(entity)), entity_id=_pk_text(entity))

    def failed(self) -> EventQuerySet:
        """Events that could not be evaluated, and those with a handler that failed."""
        return self.filter(Q(status=EventStatus.FAILED) | Q(failures__gt=0))


class Event(models.Model):
    """One occurrence of an event: to be, come about, or given up.

    `next_due_at` is the next moment at which anything is due for the row; it is empty when nothing
    is, so the scheduler finds its work by one small index and without looking at another table.
    """

    name = ExactCharField(max_length=NAME_LENGTH)
    entity_type = models.CharField(max_length=200, blank=True, help_text="The entity's model: app.model.")
    entity_id = models.CharField(max_length=ENTITY_ID_LENGTH, blank=True, help_text="The entity's primary key.")
    at = MomentField(help_text="When the event is to occur.")
    correlation = ExactCharField(max_length=CORRELATION_LENGTH, blank=True)
    data = models.JSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)
    status = models.CharField(max_length=10, choices=EventStatus.choices, default=EventStatus.PENDING)
    occurred_at = models.DateTimeField(null=True, blank=True)
    next_due_at = MomentField(null=True, blank=True)
    armed_at = models.DateTimeField(help_text="Since when the event has been meant for its time.")
    deliveries = models.JSONField(default=dict, blank=True, help_text="What became of each subscription.")
    failures = models.PositiveIntegerField(default=0, help_text="Handlers that failed.")
    note = models.TextField(blank=True, help_text="Why the event failed or was cancelled.")
    by_hand = models.BooleanField(default=False, help_text="Cancelled by a person: stays so until its date changes.")
    key = models.CharField(max_length=32, null=True, blank=True, editable=False)  # noqa: DJ001 - NULLs are not unique
    created_at = models.DateTimeField(auto_now_add=True)

    objects = EventQuerySet.as_manager()

    newly_cancelled = False  # until it is saved and told

    class Meta:
        indexes = [
            models.Index(fields=["next_due_at"], name="event_next_due"),
            models.Index(fields=["name", "correlation", "occurred_at"], name="event_occurred"),
            models.Index(fields=["entity_type", "entity_id"], name="event_entity"),
        ]
        constraints = [
            # The row an entity's event has now. Empty keys do not collide, on any database.
            models.UniqueConstraint(fields=["key"], name="event_one_per_entity"),
            models.CheckConstraint(condition=Q(status__in=EventStatus.values), name="event_known_status"),
        ]

    def __str__(self) -> str:
        of = f" of {self.entity_type} #{self.entity_id}" if self.entity_type else ""
        return f"{self.name}{of}"

    @property
    def event_name(self) -> str:
        """The event's name."""
        return str(self.name)

    @property
    def is_pending(self) -> bool:
        """Whether the event is yet to occur."""
        return self.status == EventStatus.PENDING

    @property
    def has_occurred(self) -> bool:
        """Whether the event has occurred."""
        return self.status == EventStatus.OCCURRED

    @property
    def entity(self) -> models.Model | None:
        """The row the event is about, read when first asked for; None if there is none (any more)."""
        if self.__dict__.get("_entity", _UNKNOWN) is _UNKNOWN:
            self.entity = entities([self]).get(self.pk)
        found: models.Model | None = self.__dict__["_entity"]
        return found

    @entity.setter
    def entity(self, entity: models.Model | None) -> None:
        self.__dict__["_entity"] = entity

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        self.__dict__.pop("_entity", None)
        super().refresh_from_db(*args, **kwargs)


class OpenBatch(models.Model):
    """Events that a scheduler has taken up; see `guard`."""

    events = models.JSONField(help_text="Primary keys of the events.")
    started_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=1, help_text="Processes that have been at it, the present one too.")

    def __str__(self) -> str:
        return f"{len(self.events)} events"


def entities(events: list[Event]) -> dict[int, models.Model]:
    """Return the entities of events by the events' primary keys, with one query for each model."""
    found: dict[int, models.Model] = {}
    for label in {event.entity_type for event in events if event.entity_type}:
        model = registry.model_named(label)
        if model is not None:
            found.update(_entities_of(model, [event for event in events if event.entity_type == label]))
    return found


def entity_key(label: str, entity_id: str, name: str) -> str:
    """Return the key of the one row that an entity's event has at a time."""
    return hashlib.blake2b(f"{label}\n{entity_id}\n{name}".encode(), digest_size=16).hexdigest()


def database() -> str:
    """Return the database in which events live."""
    return router.db_for_write(Event)


def _entities_of(model: type[models.Model], events: list[Event]) -> dict[int, models.Model]:
    keys = {event.pk: _pk_value(model, event.entity_id) for event in events}
    wanted = {key for key in keys.values() if key is not None}
    rows = registry.rows_of(model).in_bulk(wanted)
    return {event: rows[key] for event, key in keys.items() if key in rows}


def _pk_value(model: type[models.Model], text: str) -> Any:
    try:
        return model._meta.pk.to_python(text)
    except ValidationError:
        return None


def _pk_text(entity: models.Model) -> str:
    return entity._meta.pk.value_to_string(entity)
