"""Model fields that both apps use."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from . import storable


class ExactCharField(models.CharField):  # type: ignore[type-arg]
    """A text that is compared character by character; MariaDB's usual collations ignore case and accents."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, Any]:
        """Return the column's type, with a binary collation where the default one is not exact."""
        parameters: dict[str, Any] = {**super().db_parameters(connection)}
        if connection.vendor == "mysql":
            parameters["collation"] = "utf8mb4_bin"
        return parameters


class MomentField(models.DateTimeField):  # type: ignore[type-arg]
    """A moment that a project gave; if some time zone cannot show it, the nearest possible moment is read.

    PostgreSQL stores years that Python does not know, and one such row would make every query fail that reads it.
    """

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        """Return it for migrations as the DateTimeField that it is in the database."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.DateTimeField", [*args], kwargs

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        """Return the SQL that reads the column."""
        if compiler.connection.vendor != "postgresql":
            return sql, params
        return readable_moment(sql), [*params] * 3

    def from_db_value(self, value: datetime | None, *_: object) -> datetime | None:
        """Return the value as it is read."""
        return None if value is None else storable.clamped(value)


def readable_moment(sql: str) -> str:
    """Return the SQL that reads a moment from PostgreSQL within the years that Python knows."""
    earliest, latest = (f"'{bound:%Y-%m-%d}'" for bound in (storable.EARLIEST, storable.LATEST))
    return f"CASE WHEN {sql} < {earliest} THEN {earliest} WHEN {sql} > {latest} THEN {latest} ELSE {sql} END"
