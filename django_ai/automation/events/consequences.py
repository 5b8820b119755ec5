"""The links from an event to its consequences in other apps, and their knowledge of its secrets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any

from .models import Event

Clear = Callable[[str], str]

# Each returns an event's consequences as (text, address) pairs, for the user of a request; the address may be empty.
consequences: list[Callable[[Event, Any], Iterable[tuple[str, str]]]] = []

# Each returns an event's data with the secrets masked, or a redactor of them.
masks: list[Callable[[Mapping[str, Any]], Mapping[str, Any]]] = []
redactors: list[Callable[[Mapping[str, Any]], Clear]] = []


def of(event: Event, request: Any) -> list[tuple[str, str]]:
    """Return the known consequences of an event that the user of ``request`` may see."""
    return [link for known in consequences for link in known(event, request)]


def masked(event: Event) -> Mapping[str, Any]:
    """Return an event's data as people may read them."""
    return reduce(lambda data, mask: mask(data), masks, event.data)


def redactor_of(*events: Event) -> Clear:
    """Return a redactor of the secrets in the data of events, for texts such as a handler's error."""
    found = [redactor(event.data) for event in events for redactor in redactors]
    return lambda text: reduce(lambda cleared, clear: clear(cleared), found, text)
