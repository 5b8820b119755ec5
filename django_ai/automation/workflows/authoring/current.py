"""The context of the step that runs right now, in this thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar, overload

from pydantic import BaseModel

from ..exceptions import ContextInvalid, OutsideStep

Context = TypeVar("Context", bound=BaseModel)

_current: ContextVar[BaseModel | None] = ContextVar("workflow_context", default=None)


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
    context = _current.get()
    if context is None:
        raise OutsideStep
    if not isinstance(context, kind):
        raise ContextInvalid(f"The step that runs here has a {type(context).__qualname__}, not a {kind.__qualname__}.")
    return context


@contextmanager
def step_context(context: BaseModel) -> Iterator[None]:
    """Make ``context`` the one that get_context returns."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)
