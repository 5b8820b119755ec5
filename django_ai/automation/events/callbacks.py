"""The module from which projects that began with django-ai-first import ``on_event``."""

from .subscriptions import on_event

__all__ = ["on_event"]
