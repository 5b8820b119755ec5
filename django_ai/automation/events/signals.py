"""Django signals for what may get lost in a crash; what must not is for `on_event`."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.dispatch import Signal

from .models import Event

# Sent after the commit with `event` (the row) and `name`. A receiver that raises is logged and hurts nobody.
event_occurred = Signal()
event_cancelled = Signal()


def send_after_commit(signal: Signal, events: Sequence[Event], using: str) -> None:
    """Send one signal for each event once the present transaction has committed."""

    def send() -> None:
        for event in events:
            signal.send_robust(Event, event=event, name=event.name)

    if events and signal.has_listeners(Event):
        transaction.on_commit(send, using=using, robust=True)
