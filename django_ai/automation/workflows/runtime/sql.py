"""Models as pieces of SQL: their names, their values as parameters, and rows as their instances."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any, TypeAlias, TypeVar, cast

from django.db import connections
from django.db.models import Field, JSONField, Model

from ...fields import MomentField, readable_moment
from ..models import WorkflowRun
from . import rows
from .writes import NewRow

AnyField: TypeAlias = "Field[Any, Any]"
Row = TypeVar("Row", bound=Model)
# A field's parameter, its attribute, and what prepares its value, if anything has to.
Prepared: TypeAlias = "tuple[str, str, Callable[[Any], Any] | None]"


def table(model: type[Model]) -> str:
    """Return the quoted name of a model's table."""
    return quoted(model._meta.db_table)


def quoted(name: str | None) -> str:
    """Return a name as SQL has it."""
    return connections[rows.alias()].ops.quote_name(name or "")


@cache
def columns(model: type[Model]) -> str:
    """Return the columns of a model, in the order in which ``instance`` takes their values."""
    return ", ".join(_read(field) for field in model._meta.concrete_fields)


def _read(field: AnyField) -> str:
    column = f"{table(field.model)}.{quoted(field.column)}"
    return readable_moment(column) if isinstance(field, MomentField) else column


def execute(text: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
    """Execute a statement, as a prepared one where the project allows them, and return the rows that it gives."""
    cursor = _cursor(connections[rows.alias()])
    cursor.execute(text, parameters)
    return cast(Sequence[Sequence[Any]], cursor.fetchall())


def _cursor(connection: Any) -> Any:
    """Return a cursor for one statement; one that prepares statements is kept for as long as its connection."""
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    raw = connection.connection
    if not may_prepare(connection):
        return connection.cursor()
    if connection.queries_logged:
        return _new_cursor(connection)
    kept, cursor = vars(connection).get(_KEPT, (None, None))
    if kept is not raw:
        cursor = _new_cursor(connection)
        setattr(connection, _KEPT, (raw, cursor))
    return cursor


def may_prepare(connection: Any) -> bool:
    """Say whether the engine's statements may be prepared on a connection of Django's, which is connected."""
    # An option of DATABASES, which Django leaves out for the sake of poolers that cannot do it. Whoever wraps
    # statements may make one several, which cannot be prepared.
    return getattr(connection.connection, "prepare_threshold", None) is not None and not connection.execute_wrappers


# Where a connection keeps the driver's connection and the cursor that was made for it.
_KEPT = "_django_ai_prepared_cursor"


def _new_cursor(connection: Any) -> Any:
    return connection._prepare_cursor(_prepared_cursor(connection.Database)(connection.connection))  # noqa: SLF001 - Django has no other


@cache
def _prepared_cursor(driver: Any) -> Any:
    class PreparedCursor(driver.RawCursor):  # type: ignore[misc]
        """Has the server parse and plan a statement once for each connection."""

        def execute(self, query: str, params: Mapping[str, Any]) -> Any:
            text, names = numbered(query)
            return super().execute(text, [params[name] for name in names], prepare=True)

        def _convert_query(self, query: Any, params: Any = None) -> Any:
            self._query = super()._convert_query(query, params)  # for Django, which shows it where DEBUG is on
            return self._query

    return PreparedCursor


@cache
def numbered(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a statement with ``$1``, ``$2`` and so on for its named parameters, and their names in that order."""
    names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
    numbers = {name: number for number, name in enumerate(names, start=1)}
    return _PARAMETER.sub(lambda found: f"${numbers[found[1]]}", text), names


_PARAMETER = re.compile(r"%\((\w+)\)s")


@cache
def inserted(model: type[Model], *, numbered: bool = False) -> tuple[AnyField, ...]:
    """Return the fields that an INSERT gives; the database makes the others. A ``numbered`` row has its key."""
    return tuple(field for field in model._meta.concrete_fields if numbered or not field.db_returning)


def parameter(field: AnyField, prefix: str = "") -> str:
    """Return the parameter that a field's value is, with its type."""
    # Without its length: a cast would cut a text that is too long, where an insert refuses it.
    kind = (field.rel_db_type if field.is_relation else field.db_type)(connections[rows.alias()])
    return f"%({prefix}{field.attname})s::{(kind or '').partition('(')[0]}"


def assignments(model: type[Model], names: Iterable[str], prefix: str = "") -> str:
    """Return ``column = parameter`` for each of the fields, separated by commas."""
    fields = [_field(model, name) for name in names]
    return ", ".join(f"{quoted(field.column)} = {parameter(field, prefix)}" for field in fields)


def values(model: type[Model], given: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of fields as parameters."""
    prepared = [(_prepared(model, name, prefix), value) for name, value in given.items()]
    return {name: prepare(value) if prepare else value for (name, _, prepare), value in prepared}


def values_of(row: NewRow, prefix: str = "") -> dict[str, Any]:
    """Return the values of a new row as parameters."""
    given = row.values
    plan = _insertion(row.model, prefix, numbered=given.get("id") is not None)
    return {name: prepare(given[key]) if prepare else given[key] for name, key, prepare in plan}


@cache
def _insertion(model: type[Model], prefix: str, *, numbered: bool) -> tuple[Prepared, ...]:
    return tuple(_prepared(model, field.attname, prefix) for field in inserted(model, numbered=numbered))


def instance(model: type[Row], given: Sequence[Any]) -> Row:
    """Return what was read from all columns of a model as an instance of it."""
    database, read = rows.alias(), list(given)
    for index, column, converters in _converters(model, database):
        for convert in converters:
            read[index] = convert(read[index], column, connections[database])
    return model.from_db(database, _names(model), read)


@cache
def _prepared(model: type[Model], name: str, prefix: str) -> Prepared:
    """Return a field's parameter, its attribute, and what prepares its value, if anything has to."""
    field = _field(model, name)
    prepare: Callable[[Any], Any] | None = None
    if isinstance(field, JSONField):
        prepare = partial(_json, field.encoder)
    elif field.is_relation and field.related_model is not WorkflowRun:  # a user's key may be of any type
        prepare = partial(_key, field)
    return f"{prefix}{field.attname}", field.attname, prepare


def _json(encoder: type[json.JSONEncoder] | None, value: Any) -> str | None:
    if value is None:
        return None
    if not value and isinstance(value, dict | list):  # as most are
        return "{}" if isinstance(value, dict) else "[]"
    return json.dumps(value, cls=encoder)


def _key(field: AnyField, value: Any) -> Any:
    return field.get_db_prep_save(value, connection=connections[rows.alias()])


@cache
def _field(model: type[Model], name: str) -> AnyField:
    return cast(AnyField, model._meta.get_field(name))


@cache
def _names(model: type[Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


@cache
def _converters(model: type[Model], database: str) -> list[tuple[int, Any, list[Any]]]:
    """Return what Django does to the values of a model's columns when it reads them, where it does anything."""
    connection = connections[database]
    read = [field.cached_col for field in model._meta.concrete_fields]
    found = [[*connection.ops.get_db_converters(column), *column.get_db_converters(connection)] for column in read]
    return [(index, read[index], converters) for index, converters in enumerate(found) if converters]
