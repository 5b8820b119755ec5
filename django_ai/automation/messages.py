"""The only way to Celery: a message is sent after the commit, in bounded time, and never fatally."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from celery import signature
from django.db import transaction

logger = logging.getLogger(__name__)

# After a broker has refused a message, none is tried for this long: the rows are the outbox, and
# whoever starts a thousand runs meanwhile must not wait a thousand times.
BREAKER_SECONDS = 5.0

# One more try at once, since a pooled connection may have been closed while it was idle. Publishing
# without a policy (retry=False) takes kombu six seconds to fail.
RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


def send_after_commit(
    task: str, args: tuple[Any, ...], *, using: str, queue: str | None = None, **options: Any
) -> None:
    """Send a message to ``task`` when the transaction of the database ``using`` commits.

    A message that cannot be sent is logged and dropped: what it is about lies in a row, from which
    the scheduler sends it again.

    Args:
        options: of ``apply_async``, such as ``countdown`` in seconds.
    """
    transaction.on_commit(partial(_send, task, args, queue=queue, **options), using=using, robust=True)


def _send(task: str, args: tuple[Any, ...], **options: Any) -> None:
    try:
        publisher(task, args, **options)
    except Exception as error:  # noqa: BLE001 - whatever a broker raises
        logger.warning("Could not send %s%s, the scheduler will: %r", task, args, error)


class CeleryPublisher:
    """Publishes with bounded time, and not at all for a while after the broker failed."""

    def __init__(self) -> None:
        self._closed_until = 0.0

    def __call__(self, task: str, args: tuple[Any, ...], **options: Any) -> None:
        if monotonic() < self._closed_until:
            raise ConnectionError("the broker refused a message a moment ago")
        try:
            signature(task).apply_async(args, ignore_result=True, retry_policy=RETRY_POLICY, **options)
        except Exception:
            self._closed_until = monotonic() + BREAKER_SECONDS
            raise


# The testing kit puts its own in this place.
publisher: Callable[..., None] = CeleryPublisher()
