"""What events led to, for the admin: apps that react to events add a function that knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .models import Event

# Each returns what one event led to, as (text, address) pairs, for the user of a request; the address may be empty.
consequences: list[Callable[[Event, Any], Iterable[tuple[str, str]]]] = []


def of(event: Event, request: Any) -> list[tuple[str, str]]:
    """Return what an event is known to have led to, as far as the user of ``request`` may know of it."""
    return [link for known in consequences for link in known(event, request)]
