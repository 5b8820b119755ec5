"""How a run's first context is made from what it is started with."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from ...events.models import Event
from ...signatures import takes_any_keyword
from ..authoring.inputs import inputs_of, misfit
from ..exceptions import ContextInvalid
from ..machine import context as machine_context
from ..machine import storing
from ..machine.definition import WorkflowDefinition
from ..machine.secret_places import declared, places_of


def make_context(definition: WorkflowDefinition, arguments: Mapping[str, Any]) -> BaseModel:
    """Return the context of a new run: by the class's create_context, else its Context itself.

    Raises:
        ContextInvalid: the arguments do not fit; it names the workflow and each field.
    """
    create_context = getattr(definition.cls, "create_context", None)
    if not isinstance(arguments, Mapping):
        raise ContextInvalid(
            f"Workflow {definition.name!r} starts with a dict of fields, {_example(definition)},"
            f" not a {type(arguments).__name__}."
        )
    if fault := misfit(definition, arguments):
        raise ContextInvalid(f"Workflow {definition.name!r} cannot start: {fault}")
    try:
        context = (create_context or definition.context_class)(**arguments)
    except ValidationError as error:
        intro = f"Workflow {definition.name!r} cannot start"
        known = declared(places_of(definition.context_class), arguments)
        raise storing.misfit(intro, definition.context_class, known, error) from None
    if type(context) is not definition.context_class:  # a subclass would come back as the Context itself
        given = type(context).__name__
        raise ContextInvalid(f"{definition.cls.__name__}.create_context must return a Context, not a {given}.")
    return context


def event_context(definition: WorkflowDefinition, event: Event | None, **given: Any) -> BaseModel:
    """Return the context of a run that events start: its create_context takes ``event`` or ``events``.

    Without create_context the fields that the Context declares are filled from the event, as a wait fills them.

    Raises:
        ContextInvalid: as for ``make_context``.
    """
    create_context = getattr(definition.cls, "create_context", None)
    if create_context is None:
        fields = event_fields(event) if event is not None else {}
        return machine_context.load(
            definition.context_class, machine_context.known_fields(definition.context_class, fields)
        )
    signature = inspect.signature(create_context)
    given = {"event": event, **given}
    if not takes_any_keyword(signature):
        given = {name: value for name, value in given.items() if name in signature.parameters}
    return make_context(definition, given)


def event_fields(event: Event) -> dict[str, Any]:
    """Return the fields that an event gives to the contexts of runs that it starts or resumes, as JSON."""
    return {
        **event.data,
        "event_id": event.pk,
        "event_name": event.name,
        "entity_id": event.entity_id,
        "event_at": event.at.isoformat(),
    }


def by_name(definition: WorkflowDefinition, misplaced: tuple[object, ...]) -> ContextInvalid:
    """Return the error for a start whose context is given by position, with the call to write instead."""
    given = misplaced[0]
    if isinstance(given, BaseModel):
        how = f"its fields by name: start({definition.cls.__name__}, **context.model_dump())"
    elif isinstance(given, Mapping):
        how = f"a dict with two asterisks: start({definition.cls.__name__}, **{{…}})"
    else:
        how = f"the context by name: {_example(definition, len(misplaced))}"
    return ContextInvalid(f"engine.start takes {how}, after the workflow.")


def _example(definition: WorkflowDefinition, most: int = 1) -> str:
    inputs = inputs_of(definition)
    names = list(inputs.in_order)[:most] or ["field"]
    return f"start({definition.cls.__name__}, {', '.join(f'{name}=…' for name in names)})"
