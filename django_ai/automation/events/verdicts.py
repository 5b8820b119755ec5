"""What a row says of an event it declares: that it is to occur, that it is not, or nothing sensible."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import FieldDoesNotExist
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError
from django.db.models import DateField, Model
from django.utils import timezone

from .. import storable
from .definitions import CORRELATION_LENGTH, ENTITY_ID_LENGTH, EventDefinition

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """The event is to occur: at a time, or at once where `at` is None."""

    at: datetime | None
    correlation: str


@dataclass(frozen=True)
class Faulty:
    """The declaration cannot be evaluated for this row; the text says why."""

    text: str


Verdict = Wanted | Faulty | None


class Misdeclared(ValueError):
    """A declaration does not fit the model; the message is for whoever wrote it."""


def verdict(definition: EventDefinition, entity: Model) -> Verdict:
    """Return what `entity` says of the event: never raises what the user's functions raise.

    Raises:
        DatabaseError: a query of the condition failed; the transaction may be unusable, so whoever
            owns it has to know.
    """
    try:
        return _verdict(definition, entity)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001 - the user's functions may raise anything
        return _fault(definition, entity, error)


def payload(definition: EventDefinition, entity: Model) -> dict[str, Any] | Faulty:
    """Return the event's data as the row gives it now."""
    if definition.data is None:
        return {}
    try:
        return as_data(definition.data(entity))
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001 - the user's function may raise anything
        return _fault(definition, entity, error)


def as_data(given: object) -> dict[str, Any]:
    """Return the data of an event as a dict that was seen to fit into JSON.

    Raises:
        TypeError: it is no dict, or holds something that JSON does not.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"the data of an event must be a dict, not {given!r}")
    data = dict(given)
    fault = storable.fault_in(json.loads(json.dumps(data, cls=DjangoJSONEncoder)))
    if fault:
        raise TypeError(f"the data of an event must be what every database stores, and has {fault}")
    return data


def pk_text(entity: Model) -> str:
    """Return the primary key as events keep it: text, so that any kind of key fits.

    Raises:
        Misdeclared: the key is longer than events can hold.
    """
    text = entity._meta.pk.value_to_string(entity)
    if len(text) > ENTITY_ID_LENGTH:
        raise Misdeclared(f"primary keys of events have at most {ENTITY_ID_LENGTH} characters, not {len(text)}")
    return _stored("a primary key", text)


def correlation_text(value: object) -> str:
    """Return a correlation key as events keep it.

    Raises:
        Misdeclared: the key is longer than events can hold.
    """
    text = "" if value is None else str(value)
    if len(text) > CORRELATION_LENGTH:
        raise Misdeclared(f"correlation keys have at most {CORRELATION_LENGTH} characters, not {len(text)}")
    return _stored("a correlation key", text)


def _stored(what: str, text: str) -> str:
    if fault := storable.fault_of(text):
        raise Misdeclared(f"{what} must not be {fault}")
    return text


def moment(field: DateField[Any, Any], value: object) -> datetime | None:
    """Return the value of a date or datetime field as the moment the database means by it.

    A naive datetime, and midnight of a date, are taken in Django's default time zone: that is how
    Django stores them, and a worker, which has no user's time zone, must read the same moment.
    """
    parsed: date | datetime | None = field.to_python(value)
    if parsed is None:
        return None
    if not isinstance(parsed, datetime):
        parsed = datetime(parsed.year, parsed.month, parsed.day)  # noqa: DTZ001 - made aware below
    elif settings.USE_TZ and timezone.is_naive(parsed):
        logger.warning("%s holds the naive datetime %s: taken in the default time zone.", field, parsed)
    if settings.USE_TZ and timezone.is_naive(parsed):
        return timezone.make_aware(parsed, timezone.get_default_timezone())
    return parsed


def date_column(definition: EventDefinition, model: type[Model]) -> DateField[Any, Any]:
    """Return the field that says when a scheduled event occurs.

    Raises:
        Misdeclared: the model has no such field, or it holds something else than dates.
    """
    name = str(definition.date_field)
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist:
        raise Misdeclared(f"{model._meta.label} has no field {name!r}") from None
    if not isinstance(field, DateField):
        raise Misdeclared(f"{model._meta.label}.{name} is not a DateTimeField or DateField")
    return field


def _verdict(definition: EventDefinition, entity: Model) -> Verdict:
    at = None
    if definition.date_field:
        at = _date(definition, entity)
        if at is None:
            return None
    if definition.condition and not definition.condition(entity):
        return None
    return Wanted(at, _correlation(definition, entity))


def _date(definition: EventDefinition, entity: Model) -> datetime | None:
    """Return when a row's event occurs; None without a date, and for one that stands for "never" such as 9999-12-31."""
    field = date_column(definition, type(entity))
    date = moment(field, getattr(entity, field.attname))
    return date if date is None or storable.has_moment(date) else None


def _correlation(definition: EventDefinition, entity: Model) -> str:
    source = definition.correlate
    if source is None:
        return pk_text(entity)
    return correlation_text(source(entity) if callable(source) else _attribute(entity, source))


def _attribute(entity: Model, path: str) -> object:
    value: Any = entity
    for name in path.replace("__", ".").split("."):
        value = getattr(value, name)
    return value


def _fault(definition: EventDefinition, entity: Model, error: Exception) -> Faulty:
    logger.error("Event %r of %s #%s: %s", definition.name, entity._meta.label, entity.pk, error, exc_info=error)
    return Faulty(storable.text(f"{type(error).__name__}: {error}"))
