"""What apps that react to events know of them: what an event led to, and which of its data are secret."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any

from .models import Event

Clear = Callable[[str], str]

# Each returns what one event led to, as (text, address) pairs, for the user of a request; the address may be empty.
consequences: list[Callable[[Event, Any], Iterable[tuple[str, str]]]] = []

# Each returns an event's data with the secrets masked, and what clears texts of them.
masks: list[Callable[[Mapping[str, Any]], Mapping[str, Any]]] = []
redactors: list[Callable[[Mapping[str, Any]], Clear]] = []


def of(event: Event, request: Any) -> list[tuple[str, str]]:
    """Return what an event is known to have led to, as far as the user of ``request`` may know of it."""
    return [link for known in consequences for link in known(event, request)]


def masked(event: Event) -> Mapping[str, Any]:
    """Return an event's data as people may read them."""
    return reduce(lambda data, mask: mask(data), masks, event.data)


def redactor_of(*events: Event) -> Clear:
    """Return what clears a text, such as a handler's error, of the secrets in the data of events."""
    found = [redactor(event.data) for event in events for redactor in redactors]
    return lambda text: reduce(lambda cleared, clear: clear(cleared), found, text)
