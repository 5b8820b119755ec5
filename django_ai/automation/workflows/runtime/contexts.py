"""How a run's first context is made from what it is started with."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from ..exceptions import ContextInvalid, pydantic_reasons
from ..machine.definition import WorkflowDefinition


def make_context(definition: WorkflowDefinition, arguments: Mapping[str, Any]) -> BaseModel:
    """Return the context of a new run: by the class's create_context, else its Context itself.

    Raises:
        ContextInvalid: the arguments do not fit; it names the workflow and each field.
    """
    create_context = getattr(definition.cls, "create_context", None)
    try:
        context = (create_context or definition.context_class)(**arguments)
    except ValidationError as error:
        raise ContextInvalid(
            f"Workflow {definition.name!r} cannot start: {pydantic_reasons(error.errors())}."
        ) from error
    if not isinstance(context, definition.context_class):
        raise ContextInvalid(f"{definition.cls.__name__}.create_context must return a Context, not {context!r}.")
    return context


def event_context(definition: WorkflowDefinition, **given: Any) -> BaseModel:
    """Return the context of a run that events start: its create_context takes ``event`` or ``events``.

    Raises:
        ContextInvalid: as for ``make_context``.
    """
    create_context = getattr(definition.cls, "create_context", None)
    if create_context is None:
        return make_context(definition, {})
    accepted = inspect.signature(create_context).parameters
    return make_context(definition, {name: value for name, value in given.items() if name in accepted})
