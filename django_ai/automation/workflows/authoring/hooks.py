"""The class methods that a workflow may define beside its steps, and whether the engine can call them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from ...signatures import wrong_callback
from ..exceptions import DeclarationError
from ..machine.definition import WorkflowDefinition
from .actions import HOOK
from .inputs import inputs_of
from .methods import where

_HOOKS = ("create_context", "should_run_for_event", HOOK)


def check_hooks(definition: WorkflowDefinition) -> None:
    """Raise DeclarationError where a hook of a workflow class cannot be called as it will be."""
    cls = definition.cls
    for name in _HOOKS:
        hook = inspect.getattr_static(cls, name, None)
        if hook is not None:
            for fault in _faults(definition, name, hook):
                raise DeclarationError(f"{where(cls, name, hook)} {fault}")


def _faults(definition: WorkflowDefinition, name: str, hook: Any) -> Iterator[str]:
    if inspect.isfunction(hook) and next(iter(inspect.signature(hook).parameters), None) in ("self", "cls"):
        yield "is called on the class: decorate it with @classmethod."
    bound = getattr(definition.cls, name)
    if not callable(bound):
        yield f"must be a class method, not {bound!r}."
    if name == HOOK:
        yield from _faults_of_permission(bound)
        return
    if name == "should_run_for_event":
        if fault := wrong_callback(bound, None):
            yield f"is called with one event; it {fault}."
        return
    inputs = inputs_of(definition)
    if fault := wrong_callback(bound, **dict.fromkeys(min(names) for names in inputs.required)):
        yield fault + "."
    trigger = definition.trigger
    events = {} if trigger is None else {"event": None, **({"events": None} if trigger.debounce else {})}
    if events and (missing := inputs.missing(events)):
        yield (
            f"needs {missing[0]!r}, and is called with {' and '.join(events)} where events start runs:"
            f" give {missing[0]!r} a default, or name it {list(events)[-1]!r}."
        )


def _faults_of_permission(hook: Any) -> Iterator[str]:
    if inspect.iscoroutinefunction(hook):
        yield "must be a plain classmethod: nothing awaits it, and a coroutine is no answer."
    if fault := wrong_callback(hook, None, None):
        yield f"is called with a request and a run; it {fault}."
