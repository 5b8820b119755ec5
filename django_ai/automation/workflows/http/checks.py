"""System checks of forms: what is wrong with an action is found before anybody posts to it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags
from django.core.checks import Warning as CheckWarning

from ...documentation import register_check
from ..authoring.actions import OFFERED, Action, declared_actions
from ..exceptions import DeclarationError
from ..machine.definition import StepDefinition, WorkflowDefinition
from ..permissions import HOOK


def check_actions(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Report actions that share a name, and those whose form does not fit their step."""
    return [*_duplicates(), *_misfits()]


def check_open_forms(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Warn of forms that anybody on the internet may post, and of runs that anybody may read."""
    if hasattr(settings, "STATEZERO_VIEW_ACCESS_CLASS"):
        return []
    return [
        CheckWarning(
            f"Anybody may {_open_to_all(step)} the ownerless runs of workflow {definition.name!r}.",
            hint=f"Give {definition.cls.__name__} a {HOOK}, for example by the base class OwnerOrStaff, or set"
            " STATEZERO_VIEW_ACCESS_CLASS.",
            id="django_ai.W041",
        )
        for definition, step in declared_actions()
        if not hasattr(definition.cls, HOOK)
    ]


def _open_to_all(step: StepDefinition) -> str:
    name = step.action.name
    # Permissions of the action guard the form, and not what can be read of the run.
    return f"read (though not post {name!r} to)" if step.action.permissions else f"read, and post {name!r} to,"


def _duplicates() -> Iterator[CheckMessage]:
    owners: dict[str, WorkflowDefinition] = {}
    for definition, step in declared_actions():
        name = step.action.name
        owner = owners.setdefault(name, definition)
        if owner.name != definition.name:
            yield Error(
                f"Two workflows have an action {name!r}: {owner.cls.__name__} and {definition.cls.__name__}.",
                hint="Give one of them another @statezero_action(name=…).",
                id="django_ai.E041",
            )


def _misfits() -> Iterator[CheckMessage]:
    if find_spec("rest_framework") is None:
        return
    for definition, step in declared_actions():
        reason = _misfit(step.action, step)
        if reason:
            where = f"{definition.cls.__name__}.{step.name}"
            yield Error(f"The form of {where} cannot be posted: {reason}", id="django_ai.E042")


def _misfit(action: Action, step: StepDefinition) -> str | None:
    from .serializers import input_serializer

    try:
        serializer: Any = input_serializer(action)()
    except DeclarationError as error:
        return str(error)
    needed = {
        parameter.name
        for parameter in list(inspect.signature(step.function).parameters.values())[1:]
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    missing = sorted(needed - set(serializer.fields) - OFFERED)
    return f"its serializer lacks {', '.join(missing)}, which the step needs." if missing else None


register_check(check_actions)
register_check(check_open_forms, Tags.security, deploy=True)
