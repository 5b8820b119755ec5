"""The step that runs right now: its context, and what it may set on ``self``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import MemberDescriptorType
from typing import Any, TypeVar, overload

from pydantic import BaseModel

from ..exceptions import ContextInvalid, DeclarationError, OutsideStep

Context = TypeVar("Context", bound=BaseModel)

# What the engine sets on the instance whose step it calls. A class must not declare the first ones as something else.
OWN_ATTRIBUTES = ("context", "run_id", "idempotency_key")
ENGINE_ATTRIBUTES = (*OWN_ATTRIBUTES, "attempt")

# Where an instance has the step that runs with it.
_RUNNING = "__workflow_running__"


@dataclass(slots=True)
class RunningStep:
    """A step that runs, and its context: the one that it was given, or has put in its place."""

    context: BaseModel
    name: str = ""

    def set(self, instance: object, name: str, value: object) -> None:
        """Set an attribute of the workflow's instance, of which only the context outlives the step.

        Raises:
            ContextInvalid: ``value`` is no Context of this workflow.
            DeclarationError: it is another attribute, which would be lost when the step ends.
        """
        if name == "context":
            self._replace_context(value)
        elif not _has_setter(type(instance), name):
            where = f"Step {self.name!r} of {type(instance).__name__} sets self.{name}"
            if name in ENGINE_ATTRIBUTES:
                raise DeclarationError(f"{where}, which the engine sets: for your own value declare it in Context.")
            raise DeclarationError(
                f"{where}, which is lost when the step ends: declare it in Context, and set self.context.{name}."
            )

    def _replace_context(self, value: object) -> None:
        kind = type(self.context)
        if not isinstance(value, BaseModel) or type(value) is not kind:
            raise ContextInvalid(f"self.context takes a {kind.__qualname__}, not a {type(value).__qualname__}.")
        self.context = value


_current: ContextVar[RunningStep | None] = ContextVar("workflow_step", default=None)


@overload
def get_context() -> Any: ...
@overload
def get_context(kind: type[Context]) -> Context: ...
def get_context(kind: type[BaseModel] = BaseModel) -> Any:
    """Return the Context of the run whose step calls this; assign to its fields to change it.

    What a step assigns is validated and saved when the step returns, and dropped when it raises.

    Args:
        kind: the Context class, which tells a type checker what it gets: ``get_context(self.Context)``.

    Raises:
        OutsideStep: no step is running here.
        ContextInvalid: the step that runs here is of a workflow with another Context.
    """
    running = _current.get()
    if running is None:
        raise OutsideStep
    context = running.context
    if not isinstance(context, kind):
        raise ContextInvalid(f"The step that runs here has a {type(context).__qualname__}, not a {kind.__qualname__}.")
    return context


@contextmanager
def step_context(context: BaseModel, name: str = "") -> Iterator[RunningStep]:
    """Make ``context`` the one that get_context returns, for the step of this name; yield the step."""
    running = RunningStep(context, name)
    token = _current.set(running)
    try:
        yield running
    finally:
        _current.reset(token)


def bind(instance: object, running: RunningStep, **attributes: object) -> None:
    """Set the engine's attributes on a workflow's instance, and let it refuse all others from now on."""
    for name, value in {"context": running.context, **attributes, _RUNNING: running}.items():
        object.__setattr__(instance, name, value)  # also where the class is a frozen dataclass


def guard(cls: type) -> None:
    """Have the instances of a workflow's class refuse attributes that a running step sets.

    Raises:
        DeclarationError: the instances cannot have the engine's attributes.
    """
    if not cls.__dictoffset__:
        raise DeclarationError(f"{cls.__name__} has __slots__, in which self.context has no place: leave them out.")
    for name in OWN_ATTRIBUTES:
        _reserve(cls, name)
    usual: Any = cls.__setattr__
    if getattr(usual, _RUNNING, False):
        return  # inherited

    def assign(self: object, name: str, value: object) -> None:
        running: RunningStep | None = vars(self).get(_RUNNING)
        if running is None:
            usual(self, name, value)
            return
        running.set(self, name, value)
        (object.__setattr__ if name == "context" else usual)(self, name, value)

    setattr(assign, _RUNNING, True)
    cls.__setattr__ = assign  # type: ignore[method-assign, assignment]


def _reserve(cls: type, name: str) -> None:
    """Keep a name of the instances for the engine, which sets it when a step runs."""
    declared = inspect.getattr_static(cls, name, None)
    if declared is None:
        setattr(cls, name, _OnlyInARun(name))
    elif isinstance(declared, _OnlyInARun):
        pass  # inherited
    elif inspect.isroutine(declared) or (isinstance(declared, property) and declared.fset is None):
        raise DeclarationError(f"{cls.__name__}.{name} hides what the engine sets as self.{name}: rename it.")


class _OnlyInARun:
    """An attribute that the engine sets, read on an instance whose step is called by hand."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> object:
        if instance is None:
            raise AttributeError(f"type object {owner.__name__!r} has no attribute {self._name!r}")
        raise OutsideStep(
            f"self.{self._name} is there only while the engine runs a step of {owner.__name__}, after engine.start(…)."
        )


def _has_setter(cls: type, name: str) -> bool:
    """Return whether an attribute is a property or the like, whose own code says what to set."""
    declared = inspect.getattr_static(cls, name, None)
    return hasattr(type(declared), "__set__") and not isinstance(declared, MemberDescriptorType)
