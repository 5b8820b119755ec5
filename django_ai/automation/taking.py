"""How a worker takes a message: with database connections that work, and a tick only where none was just done."""

from __future__ import annotations

import logging
import select
from time import monotonic
from typing import Any

from celery import Task, current_app
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from .conf import settings

# Celery reckons with beat's clock against the worker's, and either may be hours off: what expires
# sooner than this might never be done.
EXPIRES_SECONDS = 86_400


class DatabaseTask(Task):  # type: ignore[type-arg]
    """A task that does not inherit a connection which died under an earlier one.

    Celery keeps connections for CELERY_DB_REUSE_MAX tasks even when the database was restarted in
    between. ``close_old_connections`` would close the healthy ones as well where CONN_MAX_AGE is 0.
    """

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Close the connections that failed; Django opens them anew."""
        for connection in connections.all(initialized_only=True):
            if connection.in_atomic_block:
                continue
            connection.errors_occurred = connection.errors_occurred or hung_up(connection)
            if connection.errors_occurred:
                connection.close_if_unusable_or_obsolete()


def hung_up(connection: BaseDatabaseWrapper) -> bool:
    """Say whether the server has said something unasked, most likely that it goes; asking it is a round trip."""
    try:
        return _is_readable(connection.connection.fileno())
    except AttributeError:  # there is no connection, or none of PostgreSQL's
        return False
    except Exception:  # noqa: BLE001 - a driver's own: the connection is closed
        return True


def _is_readable(descriptor: int) -> bool:
    if not hasattr(select, "poll"):
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()  # one system call, where a selector makes four
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


class TickTask(DatabaseTask):
    """A periodic task of which one call does for all that piled up while no worker was there."""

    _next = 0.0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do it, unless this process has done it a moment ago. A direct call is always done."""
        if not self.request.called_directly:
            moment = monotonic()
            if moment < self._next:
                return None
            self._next = moment + settings.TICK_SECONDS / 4
        return super().__call__(*args, **kwargs)


class _TickFilter(logging.Filter):
    """Drops the lines that Celery logs at INFO when it receives a tick and when the tick succeeds."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be logged; at DEBUG every tick is."""
        if record.levelno != logging.INFO or logging.getLogger(record.name).isEnabledFor(logging.DEBUG):
            return True
        about = record.args if isinstance(record.args, dict) else {}
        return not isinstance(current_app.tasks.get(str(about.get("name"))), TickTask)


_tick_filter = _TickFilter()

# Where Celery logs the tasks that a worker receives, and how they end.
TASK_LOGGERS = ("celery.worker.strategy", "celery.app.trace")


def silence_ticks() -> None:
    """Keep the ticks, two a second, out of the log of this process's worker."""
    for name in TASK_LOGGERS:
        logging.getLogger(name).addFilter(_tick_filter)
