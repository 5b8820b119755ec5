"""Django tells that a row was saved or deleted; connected only for models that declare events."""

from __future__ import annotations

from collections.abc import Collection
from functools import wraps
from typing import Any

from django.db import connections, router, transaction
from django.db.models import Field, Model
from django.db.models.signals import post_delete, post_save, pre_save

from .definitions import Happening
from .models import database
from .recording import record
from .registry import definitions_of, models_with_events, rows_of

_BEFORE = "_events_before"
_UID = "django_ai_events"


def connect() -> None:
    """Connect every model that declares events; other models are left exactly as they are."""
    for model in models_with_events():
        if any(item.watch for item in definitions_of(model)):
            pre_save.connect(remember_watched, sender=model, dispatch_uid=_UID)
        post_save.connect(record_save, sender=model, dispatch_uid=_UID)
        post_delete.connect(record_delete, sender=model, dispatch_uid=_UID)
        save_in_one_transaction(model)


def save_in_one_transaction(model: type[Model]) -> None:
    """Make a save outside of any transaction open one, so that the row and its events commit together.

    Django sends its signals after such a save has committed, and a crash in between would lose them.
    """
    original = model.save_base
    if getattr(original, _UID, False):
        return

    @wraps(original)
    def save_base(self: Model, *args: Any, **kwargs: Any) -> None:
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        if connections[using].in_atomic_block:
            original(self, *args, **kwargs)
            return
        with transaction.atomic(using=using):
            original(self, *args, **kwargs)

    setattr(save_base, _UID, True)
    model.save_base = save_base  # type: ignore[method-assign]


def remember_watched(
    sender: type[Model], *, instance: Model, raw: bool, using: str, update_fields: Collection[str] | None, **_: Any
) -> None:
    """Before a save: keep what the watched fields hold in the database (one query, which locks the row)."""
    instance.__dict__.pop(_BEFORE, None)
    if raw or instance._state.adding:
        return
    fields = [field for field in _watched(sender).values() if update_fields is None or _is_in(field, update_fields)]
    instance.__dict__[_BEFORE] = _stored_values(instance, fields, using)


def record_save(
    sender: type[Model],
    *,
    instance: Model,
    created: bool,
    raw: bool,
    using: str,
    update_fields: Collection[str] | None,
    **_: Any,
) -> None:
    """After a save: bring the row's events in line. A fixture's rows are left to the reconciliation."""
    before = instance.__dict__.pop(_BEFORE, None)
    if raw:
        return
    happening = Happening.CREATE if created else Happening.UPDATE
    if not any(happening in item.happenings for item in definitions_of(sender)):
        return
    # What was not written, or is computed by the database, is not what the instance says.
    entity = _reloaded(instance, using) if update_fields is not None or _has_expressions(instance) else instance
    _record_with(using, entity, happening, _changed(entity, before))


def record_delete(sender: type[Model], *, instance: Model, using: str, **_: Any) -> None:
    """After a delete: cancel what was still to come for the row."""
    _record_with(using, instance, Happening.DELETE, ())


def _record_with(using: str, entity: Model, happening: Happening, changed: Collection[str]) -> None:
    if using == database():
        record(entity, happening, changed)
    else:  # one transaction cannot span two databases: record what has been committed
        transaction.on_commit(lambda: record(entity, happening, changed), using=using, robust=True)


def _watched(model: type[Model]) -> dict[str, Field[Any, Any]]:
    named = {field.name: field for field in model._meta.concrete_fields}
    named.update({field.attname: field for field in model._meta.concrete_fields})
    watched = {name for item in definitions_of(model) for name in item.watch}
    return {name: named[name] for name in watched if name in named}


def _is_in(field: Field[Any, Any], names: Collection[str]) -> bool:
    return field.name in names or field.attname in names


def _stored_values(instance: Model, fields: list[Field[Any, Any]], using: str) -> dict[str, Any] | None:
    if not fields:
        return {}
    row = rows_of(type(instance), using).filter(pk=instance.pk)
    if connections[using].features.has_select_for_update:
        row = row.select_for_update()
    return row.values(*(field.attname for field in fields)).first()


def _changed(entity: Model, before: dict[str, Any] | None) -> set[str]:
    watched = _watched(type(entity))
    if before is None:  # not read: an instance made by hand replaced a row
        return set(watched)
    return {name for name, field in watched.items() if field.attname in before and _differs(field, entity, before)}


def _differs(field: Field[Any, Any], entity: Model, before: dict[str, Any]) -> bool:
    now, then = getattr(entity, field.attname), before[field.attname]
    return bool(field.get_prep_value(now) != field.get_prep_value(then))


def _has_expressions(instance: Model) -> bool:
    return any(hasattr(value, "resolve_expression") for value in instance.__dict__.values())


def _reloaded(instance: Model, using: str) -> Model:
    return rows_of(type(instance), using).filter(pk=instance.pk).first() or instance
