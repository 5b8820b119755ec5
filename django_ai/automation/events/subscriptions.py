"""Who wants to know when events occur: handlers with a stable key, an event's name and an offset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from .models import Event

Handler = Callable[[Sequence["Event"]], object]
OneHandler = TypeVar("OneHandler", bound=Callable[["Event"], object])

AT_ONCE = timedelta(0)


class DuplicateSubscription(ValueError):
    """Two different handlers were subscribed under one key."""


@dataclass(frozen=True)
class Subscription:
    """One handler's wish to be called when events occur.

    Args:
        key: identifies the subscription for ever: what has been handled is remembered by it, so it
            must not change with a deployment and must be unique in the project.
        handler: called with a list of events inside the transaction in which they occur, so what it
            writes to that database is committed exactly when they are. If it raises, what it wrote
            is undone, it is called again with each event alone, and the failures are recorded.
        event: the event's name; None subscribes to all events.
        offset: a timedelta, or anything that can be added to a datetime (relativedelta); negative is
            before the event. A timedelta is exact; other offsets count in the default time zone's
            calendar and clock.
        batch: whether the handler can take many events in one call; otherwise each list has one.
    """

    key: str
    handler: Handler
    event: str | None = None
    offset: Any = AT_ONCE
    batch: bool = True

    def wants(self, name: str) -> bool:
        """Say whether events of this name concern the subscription."""
        return self.event is None or self.event == name


class Subscriptions:
    """The subscriptions of this process, by key."""

    def __init__(self) -> None:
        self._by_key: dict[str, Subscription] = {}

    def __iter__(self) -> Iterator[Subscription]:
        return iter(self._by_key.values())

    def add(self, subscription: Subscription) -> Subscription:
        """Register a subscription; one from the same place again (autoreload) replaces the old.

        Raises:
            DuplicateSubscription: the key is taken by another handler.
        """
        taken = self._by_key.get(subscription.key)
        if taken and _place(taken) != _place(subscription):
            raise DuplicateSubscription(
                f"The key {subscription.key!r} belongs to {_place(taken)}; {_place(subscription)} needs another one."
            )
        self._by_key[subscription.key] = subscription
        return subscription

    def remove(self, key: str) -> None:
        """Forget a subscription; unknown keys are fine."""
        self._by_key.pop(key, None)

    def to(self, name: str) -> list[Subscription]:
        """Return those that events of this name concern."""
        return [item for item in self._by_key.values() if item.wants(name)]


subscriptions = Subscriptions()


def subscribe(
    key: str, handler: Handler, *, event: str | None = None, offset: Any = AT_ONCE, batch: bool = True
) -> Subscription:
    """Register a handler for events; see `Subscription` for the arguments.

    Raises:
        DuplicateSubscription: the key is taken by another handler.
    """
    return subscriptions.add(Subscription(key, handler, event, offset, batch))


def on_event(
    name: str, *, offset: Any = AT_ONCE, offset_minutes: float = 0, key: str | None = None
) -> Callable[[OneHandler], OneHandler]:
    """Call the decorated function with every event of this name, once for each.

    Args:
        name: the event's name.
        offset: when, counted from the event's time; negative is before it.
        offset_minutes: the same in minutes; the two add up.
        key: what identifies the subscription in the database; by default the function's module and
            name, the event and the offset, so give one if those may change with events outstanding.

    The function runs inside the transaction in which the event occurs: keep it short, and hand what
    takes long to a task or a workflow.
    """

    def decorate(function: OneHandler) -> OneHandler:
        when = offset + timedelta(minutes=offset_minutes) if offset_minutes else offset
        default = f"on_event:{function.__module__}.{function.__qualname__}:{name}:{when}"
        subscribe(key or default, _EachAlone(function), event=name, offset=when, batch=False)
        return function

    return decorate


@dataclass(frozen=True)
class _EachAlone:
    function: Callable[[Event], object]

    def __call__(self, events: Sequence[Event]) -> None:
        for event in events:
            self.function(event)


def _place(subscription: Subscription) -> str:
    handler = subscription.handler
    source: Any = handler.function if isinstance(handler, _EachAlone) else handler
    named = source if hasattr(source, "__qualname__") else type(source)
    return f"{named.__module__}.{named.__qualname__}"
