"""The decorator that makes a step a form which a person posts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from datetime import timedelta
from typing import Any, TypeVar

from django.apps import apps

from ..signatures import strict
from .authoring.actions import QUESTIONS, Action, parts_of
from .authoring.arguments import StepReference
from .authoring.methods import ACTION_ATTRIBUTE, LONGEST_NAME, check_decorated
from .authoring.waits import form_wait
from .exceptions import DeclarationError
from .metadata import StepDisplayMetadata

Function = TypeVar("Function", bound=Callable[..., Any])

__all__ = ["statezero_action"]


@strict("@statezero_action", DeclarationError)
def statezero_action(
    name: str | None = None,
    serializer: Any = None,
    response_serializer: Any = None,
    permissions: Any = None,
    display: Any = None,
    *,
    timeout: timedelta | float | None = None,
    on_timeout: StepReference | None = None,
) -> Callable[[Function], Function]:
    """Make a step wait for a form, and run it with what is posted to ``actions/<name>/``.

    It stands above or below ``@step``. With the app ``statezero.adaptors.django`` installed the
    action is StateZero's; without it the app's own URLs serve it in the same way.

    Args:
        name: the action's name in the URL, unique in the project; by default the step's name.
        serializer: a DRF serializer class for the step's arguments; by default made of its type
            hints. ``workflow_run_id`` is added where it lacks it.
        response_serializer: a DRF serializer class that picks the answer's fields from the run's
            display and its context; by default the answer is the run's display.
        permissions: DRF's permission classes or StateZero's for actions, one or several.
        display: how the step is shown; ``@step(display=…)`` comes first.
        timeout: how long the form is open, as a timedelta or in seconds; None is for ever. A post
            that has begun by then is carried out.
        on_timeout: the step to go on with then; without one the run fails.

    Raises:
        DeclarationError: written without parentheses, with a display that is none, or with a permission
            that is asynchronous.
        InvalidCommand: a time-out that makes no sense.
    """
    if callable(name):
        raise DeclarationError(f"Write @statezero_action() with parentheses above {name.__name__}.")
    given: object = name
    if given is not None and not (isinstance(given, str) and 0 < len(given) <= LONGEST_NAME):
        raise DeclarationError(f"@statezero_action(name={given!r}) must be a text of 1 to {LONGEST_NAME} characters.")

    wait = form_wait(timeout, on_timeout)

    def decorate(function: Function) -> Function:
        check_decorated("@statezero_action()", function)
        action = Action(
            name=name or function.__name__,
            function=function,
            wait=wait,
            serializer=serializer,
            response_serializer=response_serializer,
            permissions=_as_tuple(permissions),
            display=_metadata(display),
        )
        setattr(function, ACTION_ATTRIBUTE, action)
        _offer_to_statezero(action)
        return function

    return decorate


def _as_tuple(permissions: Any) -> tuple[Any, ...]:
    if permissions is None:
        return ()
    found = tuple(permissions) if isinstance(permissions, Iterable) else (permissions,)
    for permission in (part for each in found for part in parts_of(each)):
        for question in QUESTIONS:
            if inspect.iscoroutinefunction(getattr(permission, question, None)):
                name = getattr(permission, "__name__", type(permission).__name__)
                raise DeclarationError(f"{name}.{question} must be a plain method that returns True or False.")
    return found


def _metadata(display: Any) -> StepDisplayMetadata | None:
    if display is None or isinstance(display, StepDisplayMetadata):
        return display
    if not is_dataclass(display):
        raise DeclarationError(f"display= takes a StepDisplayMetadata, not {display!r}.")
    # StateZero's own metadata has the same keys, and more.
    given = {field.name: getattr(display, field.name, None) for field in fields(StepDisplayMetadata)}
    return StepDisplayMetadata(**{name: value for name, value in given.items() if value is not None})


# Actions that were declared before the models of all apps were there.
_early: list[Action] = []


def _offer_to_statezero(action: Action) -> None:
    if not apps.models_ready:
        _early.append(action)
    elif apps.is_installed("statezero.adaptors.django"):
        from .http.statezero import register

        register(action)


def offer_early_actions() -> None:
    """Register with StateZero, where it is installed, what was declared while Django was loading."""
    while _early:
        _offer_to_statezero(_early.pop(0))
