"""The engine's clock: the database tells the time, unless a test made the process tell it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, cast
from zoneinfo import ZoneInfo

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, Expression, Value
from django.db.models.functions import Now
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler
from django.utils import timezone

_process_clock = False

# How long the database's time is reckoned from the last answer where milliseconds do not matter.
ASK_EVERY_SECONDS = 10


class DatabaseNow(Now):
    """The database's time in the form in which Django stores a datetime there.

    MariaDB's CURRENT_TIMESTAMP is in the session's zone while Django stores UTC; SQLite's 'NOW' is
    UTC while Django without USE_TZ stores local time. Either would be hours off.
    """

    def as_mysql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> tuple[str, Any]:
        name = "UTC_TIMESTAMP" if connection.timezone_name == "UTC" else "CURRENT_TIMESTAMP"
        return self.as_sql(compiler, connection, template=f"{name}(6)", **extra)

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> tuple[str, Any]:
        zone = ", 'localtime'" if connection.timezone is None else ""
        template = f"STRFTIME('%%%%Y-%%%%m-%%%%d %%%%H:%%%%M:%%%%f', 'NOW'{zone})"
        return self.as_sql(compiler, connection, template=template, **extra)


class ProcessNow(Value):
    """The process's time as a parameter of a query."""

    def as_mysql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> tuple[str, Any]:
        # Without the cast MariaDB takes it for text, in results and in arithmetic.
        sql, params = self.as_sql(compiler, connection)
        return f"CAST({sql} AS DATETIME(6))", params


def now() -> Expression:
    """Return the present moment as an expression for queries, filters and updates."""
    if _process_clock:
        return ProcessNow(timezone.now(), output_field=DateTimeField())
    return cast(Expression, DatabaseNow())


def sql(using: str = DEFAULT_DB_ALIAS) -> tuple[str, dict[str, Any]]:
    """Return the present moment as SQL for the database `using`, with its named parameters."""
    if _process_clock:
        return "%(now)s", {"now": timezone.now()}
    text, _ = Query(None).get_compiler(using).compile(DatabaseNow())
    return text, {}


def read(using: str = DEFAULT_DB_ALIAS) -> datetime:
    """Ask the database `using` for the present moment (one query; none with the process clock)."""
    if _process_clock:
        return timezone.now()
    connection = connections[using]
    expression = DatabaseNow()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {sql(using)[0]}", [])
        value = cursor.fetchone()[0]
    converters = connection.ops.get_db_converters(expression)
    for convert in [*converters, *expression.get_db_converters(connection)]:
        value = convert(value, expression, connection)
    return cast(datetime, value)


@contextmanager
def use_process_clock() -> Iterator[None]:
    """Make the engine's time the process's own, so that a test can move it; may be nested."""
    global _process_clock
    before, _process_clock = _process_clock, True
    try:
        yield
    finally:
        _process_clock = before


def recent(using: str = DEFAULT_DB_ALIAS) -> datetime:
    """Return the database's time as it was asked for at most ten seconds ago, plus what has passed since.

    Good for what is created now; whether a lease has run out or a wait is due the database says itself.
    """
    if _process_clock:
        return timezone.now()
    watch = _watches.get(using)
    if watch is None or watch.elapsed() > ASK_EVERY_SECONDS:
        watch = _watches[using] = Stopwatch(read(using))
    return watch.now()


def check_time_zone(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn where the database has local times of a zone with clock changes: its hours may be skipped or repeated."""
    if settings.USE_TZ or not _is_changed(settings.TIME_ZONE):
        return []
    zone = settings.TIME_ZONE or "the machine's zone"
    text = f"USE_TZ is False, and clocks in {zone} are changed: a sleep or time-out across a change is an hour off."
    hint = 'Set USE_TZ = True, or TIME_ZONE = "UTC". TIME_ZONE may stay as it is with USE_TZ.'
    return [CheckWarning(text, hint=hint, id="django_ai.W004")]


def _is_changed(name: str | None) -> bool:
    """Return whether a zone's offset changes within the next years; True for the machine's own zone."""
    if not name:
        return True
    start = datetime.now(UTC)
    zone = ZoneInfo(name)
    return len({(start + timedelta(days=days)).astimezone(zone).utcoffset() for days in range(0, 1_100, 10)}) > 1


class Stopwatch:
    """The database's time between two queries: what it said last, plus what has passed since."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment
        self._started = monotonic()

    def now(self) -> datetime:
        """Return the present moment without asking the database."""
        if _process_clock:
            return timezone.now()
        return self._moment + timedelta(seconds=self.elapsed())

    def elapsed(self) -> float:
        """Return how many seconds ago the database was asked."""
        return monotonic() - self._started


_watches: dict[str, Stopwatch] = {}
