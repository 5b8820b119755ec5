"""Who wants to know when events occur: handlers with a stable key, an event's name and an offset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar

from ..signatures import strict, wrong_callback
from .definitions import name_fault

if TYPE_CHECKING:
    from .models import Event

Handler = Callable[[Sequence["Event"]], object]
OneHandler = TypeVar("OneHandler", bound=Callable[["Event"], object])

AT_ONCE = timedelta(0)

# The name by which @on_event subscribes to all events.
EVERY_EVENT = "*"

_SOME_TIME = datetime(2024, 6, 1, 12, tzinfo=UTC)


class WrongSubscription(ValueError):
    """A handler is subscribed with arguments that make no sense, such as an offset that is a number."""


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

    Raises:
        WrongSubscription: an argument makes no sense.
    """

    key: str
    handler: Handler
    event: str | None = None
    offset: Any = AT_ONCE
    batch: bool = True

    def __post_init__(self) -> None:
        handler = wrong_callback(self.handler, [])
        faults = (
            None if self.key and isinstance(self.key, str) else "its key must be a text that is not empty.",
            None if self.event is None else name_fault(self.event),
            handler and f"its handler is called with a list of events; it {handler}.",
            offset_fault(self.offset),
        )
        for fault in filter(None, faults):
            raise WrongSubscription(f"Subscription {self.key!r}: {fault}")

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


def offset_fault(offset: object) -> str | None:
    """Return why this is no offset of a handler or a workflow, or None where it is one."""
    try:
        if isinstance(offset, timedelta) or isinstance(_SOME_TIME + offset, datetime):  # type: ignore[operator]
            return None
    except OverflowError:
        return None  # further away than any calendar reaches, so it never comes
    except Exception:  # noqa: BLE001, S110 - whatever an object that is no offset raises
        pass
    return f"offset= takes a timedelta, or what can be added to a datetime (relativedelta), not {offset!r}."


def total_offset(offset: Any, minutes: float) -> Any:
    """Return an offset and a number of minutes as one offset.

    Raises:
        WrongSubscription: either of them makes no sense.
    """
    if fault := offset_fault(offset):
        raise WrongSubscription(fault)
    if isinstance(minutes, bool) or not isinstance(minutes, int | float):
        raise WrongSubscription(f"offset_minutes= takes a number of minutes, not {minutes!r}.")
    try:
        return offset + timedelta(minutes=minutes) if minutes else offset
    except (TypeError, ValueError, OverflowError) as error:
        raise WrongSubscription(f"offset_minutes={minutes!r} cannot be added to offset={offset!r}: {error}.") from None


@strict("subscribe()", WrongSubscription)
def subscribe(
    key: str, handler: Handler, *, event: str | None = None, offset: Any = AT_ONCE, batch: bool = True
) -> Subscription:
    """Register a handler for events; see `Subscription` for the arguments.

    Raises:
        WrongSubscription: an argument makes no sense.
        DuplicateSubscription: the key is taken by another handler.
    """
    return subscriptions.add(Subscription(key, handler, event, offset, batch))


@strict("@on_event", WrongSubscription)
def on_event(
    name: str | None = None,
    *,
    event_name: str | None = None,
    offset: Any = AT_ONCE,
    offset_minutes: float = 0,
    key: str | None = None,
) -> Callable[[OneHandler], OneHandler]:
    """Call the decorated function with every event of this name, once for each.

    Args:
        name: the event's name; ``"*"`` stands for every event.
        event_name: the same, under the name that ``@event_workflow`` has for it.
        offset: when, counted from the event's time; negative is before it.
        offset_minutes: the same in minutes; the two add up.
        key: what identifies the subscription in the database; by default the function's module and
            name, the event and the offset, so give one if those may change with events outstanding.

    The function runs inside the transaction in which the event occurs: keep it short, and hand what
    takes long to a task or a workflow.

    Raises:
        WrongSubscription: an argument makes no sense, or the function does not take one event.
    """
    if name is not None and event_name is not None:
        raise WrongSubscription(f"@on_event({name!r}, event_name={event_name!r}) has the name twice. Give it once.")
    name = event_name if name is None else name
    if not isinstance(name, str):
        raise WrongSubscription(f'Write @on_event("the_event"), with the name of an event, not @on_event({name!r}).')
    when = total_offset(offset, offset_minutes)

    def decorate(function: OneHandler) -> OneHandler:
        if fault := wrong_callback(function, None):
            raise WrongSubscription(f"@on_event({name!r}) calls {place_of(function)} with one event; it {fault}.")
        event = None if name == EVERY_EVENT else name
        subscribe(
            key or _default_key(function, name, when), _EachAlone(function), event=event, offset=when, batch=False
        )
        return function

    return decorate


def _default_key(function: Any, name: str, when: Any) -> str:
    if not hasattr(function, "__qualname__"):
        raise WrongSubscription(
            f"@on_event({name!r}) of {function!r}, which has no name, needs key=: a text of its own."
        )
    return f"on_event:{function.__module__}.{function.__qualname__}:{name}:{when}"


@dataclass(frozen=True)
class _EachAlone:
    function: Callable[[Event], object]

    def __call__(self, events: Sequence[Event]) -> None:
        for event in events:
            self.function(event)


def place_of(handler: Any) -> str:
    """Return what errors call a handler: its name and, where it has one, its file and line."""
    function = handler.function if isinstance(handler, _EachAlone) else handler
    name = getattr(function, "__qualname__", None) or repr(function)
    code = getattr(function, "__code__", None)
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code else name


def is_handler(subscription: Subscription) -> bool:
    """Return whether a function was subscribed by hand or with on_event, and no object of another application."""
    return isinstance(subscription.handler, _EachAlone | FunctionType)


def _place(subscription: Subscription) -> str:
    handler = subscription.handler
    source: Any = handler.function if isinstance(handler, _EachAlone) else handler
    named = source if hasattr(source, "__qualname__") else type(source)
    return f"{named.__module__}.{named.__qualname__}"
