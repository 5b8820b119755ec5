"""What events led to, for the admin: apps that react to events add a function that knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .models import Event

# Each returns what one event led to, as (text, address) pairs; the address may be empty.
consequences: list[Callable[[Event], Iterable[tuple[str, str]]]] = []


def of(event: Event) -> list[tuple[str, str]]:
    """Return all that an event is known to have led to."""
    return [link for known in consequences for link in known(event)]
