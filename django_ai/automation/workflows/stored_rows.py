"""``Django[Model]``: a field of a Context that holds a row, stored as its primary key."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, TypeVar

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import router
from django.db.models import Model
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from .exceptions import ContextInvalid

Row = TypeVar("Row", bound=Model)

# The method by which Django reads deferred columns.
_REFRESH = "refresh_from_db"


@dataclass(frozen=True, slots=True)
class StoredAsKey:
    """Tells pydantic to write a row as its primary key, and to read it again when it is looked at."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        if not (isinstance(source, type) and issubclass(source, Model)) or source._meta.abstract:
            raise TypeError(f"Django[…] takes a model of the project, not {source!r}.")
        if isinstance(getattr(source._meta, "pk_fields", None), list) and len(source._meta.pk_fields) > 1:
            raise TypeError(f"Django[{source.__name__}]: a composite primary key is not supported.")
        return core_schema.with_info_plain_validator_function(
            partial(_read, source),
            serialization=core_schema.plain_serializer_function_ser_schema(key_of, when_used="json"),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": ["integer", "string"]}


# To a type checker the field holds the model itself.
Django = Annotated[Row, StoredAsKey()]


def key_of(row: Model) -> int | str:
    """Return the primary key of a row as JSON has it."""
    if row.pk is None or row._state.adding:
        raise ValueError(_unsaved(type(row)))
    key = row.pk
    return key if isinstance(key, int | str) else str(row._meta.pk.value_to_string(row))


def _read(model: type[Model], value: Any, info: core_schema.ValidationInfo) -> Model:
    if isinstance(value, Model):
        return _saved(model, value)
    try:
        key = model._meta.pk.to_python(value)
    except (ValidationError, ArithmeticError) as error:
        raise ValueError(f"{value!r} is no primary key of a {model.__name__}") from error
    if key is None or isinstance(value, bool | float | list | dict):
        raise ValueError(f"{value!r} is no primary key of a {model.__name__}")
    return _deferred(model, key, info.field_name or "")


def _saved(model: type[Model], row: Model) -> Model:
    if not isinstance(row, model):
        raise ValueError(f"a {type(row).__name__} is no {model.__name__}")  # noqa: TRY004 - as pydantic wants it
    if row.pk is None or row._state.adding:
        raise ValueError(_unsaved(model))
    return row


def _unsaved(model: type[Model]) -> str:
    return f"this {model.__name__} is not saved: save it first, for its primary key is what is stored"


def _deferred(model: type[Row], key: Any, field: str) -> Row:
    """Return a row with its key only; the first access to another column reads all of them by one query."""
    row = model.from_db(router.db_for_write(model), [model._meta.pk.attname], [key])
    row.__dict__[_REFRESH] = partial(_read_all, row, field)
    return row


def _read_all(row: Model, field: str, using: str | None = None, fields: object = None, **options: Any) -> None:
    """Read all columns in place of the one that Django asks for; afterwards the row is an ordinary one."""
    late = row.__dict__.pop(_REFRESH)
    every = [column.attname for column in row._meta.concrete_fields]
    try:
        row.refresh_from_db(using=using or row._state.db, fields=every, **options)
    except BaseException as error:
        row.__dict__[_REFRESH] = late
        if not isinstance(error, ObjectDoesNotExist):
            raise
        kind = type(row).__name__
        raise ContextInvalid(f"{field}: the {kind} with the primary key {row.pk!r} is not there any more.") from None
