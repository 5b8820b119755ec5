"""Which models declare events, asked of the models themselves."""

from __future__ import annotations

from collections.abc import Iterator

from django.apps import apps
from django.db import router
from django.db.models import Model, QuerySet

from .definitions import EventDefinition

Declared = tuple[EventDefinition, ...]


def definitions_of(model: type[Model]) -> Declared:
    """Return the events that rows of `model` bring about; none for most models."""
    declared = getattr(model, "events", None)
    # Many a model has an unrelated attribute of this name, say the other end of a foreign key.
    if not isinstance(declared, list | tuple):
        return ()
    return tuple(item for item in declared if isinstance(item, EventDefinition))


def origin_of(model: type[Model]) -> type[Model]:
    """Return the model under whose name the events of `model` are kept.

    A row that is saved as a proxy, or as a child with a table of its own, is still the same row.
    What a proxy declares itself is the proxy's.
    """
    declaring = [kind for kind in model.__mro__ if isinstance(vars(kind).get("events"), list | tuple)]
    if not declaring:
        return model._meta.concrete_model or model
    tables = [kind for kind in model.__mro__ if issubclass(kind, declaring[0]) and _has_table(kind)]
    origin: type[Model] = (tables or declaring[:1])[-1]
    return origin


def label_of(model: type[Model]) -> str:
    """Return the name that events keep for rows of `model`."""
    return origin_of(model)._meta.label_lower


def models_with_events() -> Iterator[type[Model]]:
    """Yield every model whose rows bring events about, proxies and children included."""
    return (model for model in apps.get_models() if definitions_of(model))


def origins() -> dict[str, type[Model]]:
    """Return the models that declare events, each once, by the name that events keep."""
    found = (origin_of(model) for model in models_with_events())
    return {origin._meta.label_lower: origin for origin in found}


def model_named(label: str) -> type[Model] | None:
    """Return the model that events call `label`, or None if the project has it no more."""
    try:
        return apps.get_model(label) if label else None
    except LookupError:
        return None


def rows_of(model: type[Model], using: str | None = None) -> QuerySet[Model]:
    """Return all rows of a model, those that its own manager hides too, never from a replica."""
    return model._base_manager.using(using or router.db_for_write(model))  # noqa: SLF001 - Django documents it


def definition(label: str, name: str) -> EventDefinition | None:
    """Return the declaration of an event, or None: it was emitted, or is declared no more."""
    model = model_named(label)
    declared = definitions_of(model) if model else ()
    return next((item for item in declared if item.name == name), None)


def _has_table(kind: type) -> bool:
    meta = getattr(kind, "_meta", None)
    return meta is not None and not meta.abstract and not meta.proxy
