"""The @workflow decorator: a class becomes a registered WorkflowDefinition."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BaseModel

from ... import storable
from ...signatures import strict
from ..exceptions import ContextMissing, DeclarationError, InvalidCommand
from ..machine.correlation import check_wait
from ..machine.definition import Retry, WorkflowDefinition
from .current import guard
from .hooks import check_hooks
from .methods import LONGEST_NAME
from .registry import DEFINITION_ATTRIBUTE, registry
from .sources import at, place_of_class
from .steps import check_options, check_retry, read_steps

WorkflowClass = TypeVar("WorkflowClass", bound=type)

# What the column of the run's table holds.
LONGEST_VERSION = 50


class EmptyContext(BaseModel):
    """The context of a workflow that declares none."""


@strict("@workflow", DeclarationError)
def workflow(
    name: str,
    *,
    version: str = "1",
    default_retry: Retry | None = None,
    queue: str | None = None,
    retention: timedelta | None = None,
) -> Callable[[WorkflowClass], WorkflowClass]:
    """Register a class as a workflow.

    Args:
        name: what ``engine.start`` starts it by; unique in the project.
        version: several versions of one name may be registered side by side; a new run starts with
            the newest ("10" is newer than "9"), and a run stays on the version that it started with
            as long as that is registered. Then it goes on with the newest.
        default_retry: for the steps that have no ``retry`` of their own.
        queue: the Celery queue of its steps; by default ``DJANGO_AI["QUEUE"]``.
        retention: for how long its runs are kept when they have ended; by default
            ``DJANGO_AI["RETENTION_DAYS"]``. ``timedelta.max`` is for ever.

    Raises:
        DeclarationError: the class is declared wrongly.
    """
    name = check_name(name, "@workflow")

    def decorate(cls: WorkflowClass) -> WorkflowClass:
        declare(cls, name=name, version=version, retry=default_retry, queue=queue, retention=retention)
        return cls

    return decorate


def check_name(name: object, decorator: str) -> str:
    """Return a name. Raise DeclarationError where a decorator is written without one, or without parentheses."""
    if not isinstance(name, str) or not name:
        raise DeclarationError(f'Write {decorator}("a_name"), not {decorator}({name!r}).')
    return str.__str__(name)  # of an enumeration's member its value


def declare(cls: type, *, name: str, **options: Any) -> WorkflowDefinition:
    """Read a class, register its definition and return it."""
    _check_options(cls, name, **options)
    if fault := instance_fault(cls):
        raise DeclarationError(fault)
    definition = WorkflowDefinition(
        name=name, cls=cls, context_class=_context_class(cls), steps=read_steps(cls), **options
    )
    check_hooks(definition)
    starts = [step.name for step in definition.steps.values() if step.start]
    _check_waits(definition)
    if len(starts) > 1:
        raise DeclarationError(
            f"Workflow {name!r} ({cls.__name__}) has several start steps: {', '.join(starts)}. Keep one."
        )
    guard(cls)
    registry.register(definition)
    setattr(cls, DEFINITION_ATTRIBUTE, definition)
    return definition


def instance_fault(cls: type) -> str | None:
    """Return why the engine cannot make the instance of a workflow class that a step runs on, or None."""
    named = f"{cls.__module__}.{cls.__qualname__}"
    if inspect.isabstract(cls):
        names = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
        return f"{named}{at(place_of_class(cls))} is abstract, for it does not define {names}."
    try:
        parameters = inspect.signature(cls).parameters.values()
    except (TypeError, ValueError):
        return None  # a class made in C does not tell
    required = [item.name for item in parameters if item.default is item.empty and item.kind not in _VARIABLE]
    if not required:
        return None
    who = "@dataclass makes an __init__ that" if is_dataclass(cls) else "its __init__"
    return (
        f"{named}{at(place_of_class(cls))}: {who} needs {', '.join(required)}, and the engine makes an instance for"
        " each step without arguments. Declare data in a class Context(BaseModel) inside, and leave __init__ out."
    )


_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _check_options(
    cls: object,
    name: str,
    *,
    version: object,
    retry: object,
    queue: object = None,
    retention: object = None,
    **_: object,
) -> None:
    if not isinstance(cls, type):
        raise DeclarationError(f"@workflow({name!r}) decorates a class, not {cls!r}.")
    for what, text, longest in (("name", name, LONGEST_NAME), ("version", version, LONGEST_VERSION)):
        if not isinstance(text, str) or not 0 < len(text) <= longest or storable.fault_of(text):
            raise DeclarationError(f"{cls.__name__}: {what}={text!r} must be a text of 1 to {longest} characters.")
    if retention is not None and not (isinstance(retention, timedelta) and retention > timedelta(0)):
        raise DeclarationError(f"{cls.__name__}: retention={retention!r} must be a positive timedelta.")
    check_retry(retry, f"Workflow {name!r} ({cls.__name__}): default_retry=")
    check_options("@workflow", queue=queue)


def _check_waits(definition: WorkflowDefinition) -> None:
    for step in definition.steps.values():
        try:
            if step.entry is not None:
                check_wait(step.entry, definition.context_class)
        except InvalidCommand as error:
            raise DeclarationError(f"{definition.cls.__name__}.{step.name}: {error}") from error


def _context_class(cls: type) -> type[BaseModel]:
    context = getattr(cls, "Context", None)
    if context is None:
        if hasattr(cls, "create_context"):
            raise ContextMissing(f"{cls.__name__} defines create_context and must define a Context class.")
        return EmptyContext
    if not (isinstance(context, type) and issubclass(context, BaseModel)):
        raise DeclarationError(f"{cls.__name__}.Context must be a pydantic BaseModel, not {context!r}.")
    return context
