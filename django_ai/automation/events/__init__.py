"""Events: models declare what happens, code may emit more, and whoever subscribes is told exactly once."""

from .definitions import EventDefinition
from .emitting import emit
from .subscriptions import on_event, subscribe

__all__ = ["EventDefinition", "emit", "on_event", "subscribe"]
