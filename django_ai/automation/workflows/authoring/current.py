"""The context of the step that runs right now, in this thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pydantic import BaseModel

from ..exceptions import OutsideStep

_current: ContextVar[BaseModel | None] = ContextVar("workflow_context", default=None)


def get_context() -> Any:
    """Return the Context of the run whose step calls this; assign to its fields to change it.

    What a step assigns is validated and saved when the step returns, and dropped when it raises.

    Raises:
        OutsideStep: no step is running here.
    """
    context = _current.get()
    if context is None:
        raise OutsideStep
    return context


@contextmanager
def step_context(context: BaseModel) -> Iterator[None]:
    """Make ``context`` the one that get_context returns."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)
