"""System checks: what models declare fits the models, and handlers are called at a time that comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model

from . import names, registry
from .definitions import EventDefinition, Kind
from .subscriptions import Subscription, is_handler, place_of, subscriptions
from .timing import moment_of
from .verdicts import Misdeclared, date_column

Faults = Iterator[CheckMessage]

_SOME_TIME = datetime(2024, 6, 1, 12, tzinfo=UTC)


def check_definitions(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Report every declaration of an event that does not fit its model."""
    chosen = None if app_configs is None else {config.label for config in app_configs}
    models = [model for model in registry.models_with_events() if chosen is None or model._meta.app_label in chosen]
    return [fault for model in models for check in _MODEL_CHECKS for fault in check(model)]


def check_subscriptions(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of handlers that are never called: before an event without a date, or of an event that does not exist."""
    kinds: dict[str, set[Kind]] = {}
    for model in registry.origins().values():
        for item in registry.definitions_of(model):
            kinds.setdefault(item.name, set()).add(item.kind)
    return [*_never_called(kinds), *_never_emitted()]


def _never_called(kinds: Mapping[str, set[Kind]]) -> Faults:
    return (
        CheckWarning(
            f"{item.key} is to be called before event {item.event!r}, which has no date_field.",
            hint="It is never called. Give the event a date_field or the handler an offset of zero or more.",
            id="django_ai_events.W001",
        )
        for item in subscriptions
        if _comes_before(item) and item.event and item.event in kinds and Kind.SCHEDULED not in kinds[item.event]
    )


def _never_emitted() -> Faults:
    handlers = [item for item in subscriptions if item.event and is_handler(item)]
    unheard_of = names.unheard_of(item.event for item in handlers if item.event)
    for item in handlers:
        if item.event in unheard_of:
            text = f"{place_of(item.handler)} handles event {item.event!r}, which no model declares and no code emits."
            hint = names.hint(item.event, names.declared())
            yield CheckWarning(text, hint=hint, obj=item.key, id="django_ai_events.W002")


def _comes_before(subscription: Subscription) -> bool:
    moment = moment_of(_SOME_TIME, subscription.offset)
    return moment is not None and moment < _SOME_TIME


def _all_are_definitions(model: type[Model]) -> Faults:
    for item in getattr(model, "events", ()):
        if not isinstance(item, EventDefinition):
            yield Error(
                f"events holds {item!r}.", hint="Use EventDefinition(...).", obj=model, id="django_ai_events.E001"
            )


def _names_are_unique(model: type[Model]) -> Faults:
    for name, count in Counter(item.name for item in registry.definitions_of(model)).items():
        if count > 1:
            yield Error(f"Event {name!r} is declared {count} times.", obj=model, id="django_ai_events.E002")


def _dates_exist(model: type[Model]) -> Faults:
    for item in registry.definitions_of(model):
        try:
            if item.date_field:
                date_column(item, model)
        except Misdeclared as fault:
            hint = "date_field names a DateTimeField or DateField of the model."
            yield Error(f"Event {item.name!r}: {fault}.", hint=hint, obj=model, id="django_ai_events.E003")


def _watched_fields_exist(model: type[Model]) -> Faults:
    for item in registry.definitions_of(model):
        for name in item.watch:
            if not _has_column(model, name):
                text = f"Event {item.name!r} watches {name!r}, which is no column of the model."
                yield Error(text, obj=model, id="django_ai_events.E004")


def _correlations_exist(model: type[Model]) -> Faults:
    for item in registry.definitions_of(model):
        if isinstance(item.correlate, str):
            first = item.correlate.replace("__", ".").split(".")[0]
            if not hasattr(model, first) and not _has_column(model, first):
                text = f"Event {item.name!r} correlates by {item.correlate!r}, but the model has no {first!r}."
                hint = "correlate is the name of an attribute, or a function of the row."
                yield Error(text, hint=hint, obj=model, id="django_ai_events.E005")


def _key_is_one_column(model: type[Model]) -> Faults:
    if type(model._meta.pk).__name__ == "CompositePrimaryKey":
        yield Error("Models with a composite primary key cannot declare events.", obj=model, id="django_ai_events.E006")


def _has_column(model: type[Model], name: str) -> bool:
    try:
        return bool(getattr(model._meta.get_field(name), "column", None))
    except FieldDoesNotExist:
        return False


_MODEL_CHECKS: tuple[Callable[[type[Model]], Faults], ...] = (
    _all_are_definitions,
    _names_are_unique,
    _dates_exist,
    _watched_fields_exist,
    _correlations_exist,
    _key_is_one_column,
)
