"""The actions that steps declare: what a person posts to them, and who may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..machine.commands import Wait
from ..machine.definition import StepDefinition, WorkflowDefinition
from ..metadata import StepDisplayMetadata
from .methods import STEP_ATTRIBUTE
from .registry import registry

# The classmethod of a workflow class that decides who may act on a run: (request, run) → bool.
HOOK = "has_run_permission"

# What permission classes are asked, those of Django REST framework and those of StateZero.
QUESTIONS = frozenset({"has_permission", "has_object_permission", "has_action_permission"})

# What a step receives where it names it, so that it is no field of its form.
OFFERED = frozenset({"request", "workflow_run_id"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Action:
    """A step's form: the arguments of @statezero_action, and the function that they decorate."""

    name: str
    function: Callable[..., Any]
    wait: Wait
    serializer: Any = None
    response_serializer: Any = None
    permissions: tuple[Any, ...] = ()
    display: StepDisplayMetadata | None = None


def declared_actions() -> Iterator[tuple[WorkflowDefinition, StepDefinition]]:
    """Iterate over the steps that are actions, each with its workflow."""
    for definition in registry:
        for step in definition.steps.values():
            if step.action is not None:
                yield definition, step


def find_actions(name: str) -> list[Action]:
    """Return the actions of this name, of several versions of one workflow the newest last."""
    return [step.action for _, step in declared_actions() if step.action.name == name]


def parts_of(permission: Any) -> Iterator[Any]:
    """Iterate over the permission classes that a permission is composed of, as by ``&``, ``|``, ``~`` or AnyOf."""
    parts = [getattr(permission, name) for name in _OPERANDS if hasattr(permission, name)]
    parts += getattr(permission, "_permissions", ())
    for part in parts:
        yield from parts_of(part)
    if not parts:
        yield permission


# Where Django REST framework keeps what an operator composes, before and after it has made an instance.
_OPERANDS = ("op1_class", "op2_class", "op1", "op2")


def display_of(action: Action) -> StepDisplayMetadata | None:
    """Return how the action's step is shown: as @step says, else as the action itself does."""
    options = getattr(action.function, STEP_ATTRIBUTE, None)
    return (options and options.display) or action.display
