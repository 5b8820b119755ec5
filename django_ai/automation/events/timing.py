"""When something is due for an event: its own time, the offsets before and after it, second attempts."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.utils import timezone

from .. import storable
from .subscriptions import Subscription

logger = logging.getLogger(__name__)

# What became of one subscription's call for one event; absent means: not yet due.
DONE = "done"
SKIPPED = "skipped"  # its moment passed while the event's condition did not hold, or lay before the row
WAITING = "waiting"  # comes after the event, which has occurred
FAILED = "failed"  # its handler raised; "retry_at" says when it is called again

Delivery = dict[str, Any]


class Timed(Protocol):
    """What the timing of an event depends on."""

    name: str
    at: datetime
    armed_at: datetime
    deliveries: dict[str, Delivery]

    @property
    def is_pending(self) -> bool: ...
    @property
    def has_occurred(self) -> bool: ...


@dataclass
class Due:
    """What is due for an event at one moment, the earliest call first."""

    itself: bool = False
    calls: list[Subscription] = field(default_factory=list)
    too_late: list[Subscription] = field(default_factory=list)


def moment_of(at: datetime, offset: Any) -> datetime | None:
    """Return the moment at an offset from an event's time; None where no calendar reaches it.

    An offset of the user's own kind may fail for some dates only. That is its subscriber's fault, which must
    not keep the event from the others: the call is left out, and the log says why.
    """
    by_calendar = not isinstance(offset, timedelta) and timezone.is_aware(at)
    start = at
    try:
        start = timezone.localtime(at, timezone.get_default_timezone()) if by_calendar else at
        moment = start + offset
    except OverflowError:
        return None
    except Exception:
        logger.exception("The offset %r cannot be added to %s, so nothing is called then.", offset, start)
        return None
    if not isinstance(moment, datetime) or timezone.is_aware(moment) is not timezone.is_aware(at):
        logger.error("The offset %r makes %r of %s, so nothing is called then.", offset, moment, start)
        return None
    return moment if storable.has_moment(moment) else None


def due(event: Timed, subscribed: Iterable[Subscription], now: datetime) -> Due:
    """Return what is due for an event by now."""
    found = Due(itself=event.is_pending and event.at <= now)
    ripe = [(moment, item) for moment, item in _outstanding(event, subscribed) if moment <= now]
    for _, item in sorted(ripe, key=lambda pair: pair[0]):
        (found.too_late if _missed(event, item) else found.calls).append(item)
    return found


def next_due(event: Timed, subscribed: Iterable[Subscription]) -> datetime | None:
    """Return the next moment at which anything is due for an event, or None: all is done."""
    moments = [moment for moment, _ in _outstanding(event, subscribed)]
    if event.is_pending:
        moments.append(event.at)
    return min(moments, default=None)


def comes_after(at: datetime, subscription: Subscription) -> bool:
    """Say whether a subscription is to be called later than the event's own time."""
    moment = moment_of(at, subscription.offset)
    return moment is not None and moment > at


def count_failed(event: Timed) -> int:
    """Return for how many subscriptions the event's handler has failed."""
    return sum(delivery["state"] == FAILED for delivery in event.deliveries.values())


def _outstanding(event: Timed, subscribed: Iterable[Subscription]) -> list[tuple[datetime, Subscription]]:
    moments = ((_moment(event, item), item) for item in subscribed)
    return [(moment, item) for moment, item in moments if moment is not None]


def _moment(event: Timed, subscription: Subscription) -> datetime | None:
    delivery = event.deliveries.get(subscription.key)
    if not (event.is_pending or event.has_occurred):
        return None
    if delivery is None:
        # A subscription that was deployed after the event occurred comes too late for it.
        return moment_of(event.at, subscription.offset) if event.is_pending else None
    if delivery["state"] == WAITING:
        return moment_of(event.at, subscription.offset)
    if delivery["state"] == FAILED and "retry_at" in delivery:
        return datetime.fromisoformat(delivery["retry_at"])
    return None


def _missed(event: Timed, subscription: Subscription) -> bool:
    """Say whether the call belongs before an event that was over when its row was saved."""
    if subscription.key in event.deliveries or event.armed_at < event.at:
        return False
    moment = moment_of(event.at, subscription.offset)
    return moment is not None and moment < event.at
