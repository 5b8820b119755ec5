"""System checks of forms: what is wrong with an action is found before anybody posts to it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import EmptyResultSet, FieldError, ImproperlyConfigured
from django.urls import get_resolver

from ...conf import settings as workflow_settings
from ...documentation import register_check
from ..authoring.actions import HOOK, OFFERED, Action, declared_actions
from ..authoring.registry import registry
from ..exceptions import DeclarationError
from ..machine.definition import StepDefinition, WorkflowDefinition
from ..permissions import visibility_hook


def check_actions(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Report actions that share a name, and those whose form does not fit their step."""
    return [*_duplicates(), *_misfits()]


def check_visibility(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Report a ``DJANGO_AI["RUNS_VISIBLE_TO"]`` that cannot say which runs a person may know of."""
    if workflow_settings.RUNS_VISIBLE_TO is None:
        return []
    try:
        visibility_hook()
    except ImproperlyConfigured as error:
        hint = "Name a function that gets a request and returns a queryset of WorkflowRun, or a Q."
        return [Error(str(error), hint=hint, id="django_ai.E043")]
    return []


def check_open_forms(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Warn of every workflow whose runs anybody on the internet may read, or post forms to."""
    if hasattr(settings, "STATEZERO_VIEW_ACCESS_CLASS"):
        return []
    is_served = serves_runs()
    return [
        CheckWarning(
            f"Anybody may {what} the ownerless runs of {_titled(definition)}.",
            hint=f"Give {definition.cls.__name__} a {HOOK}, for example by the base class OwnerOrStaff, or set"
            " STATEZERO_VIEW_ACCESS_CLASS.",
            id="django_ai.W041",
        )
        for definition in registry
        if not hasattr(definition.cls, HOOK) and (what := _open_to_all(definition, is_served=is_served))
    ]


def _open_to_all(definition: WorkflowDefinition, *, is_served: bool) -> str:
    """Return what strangers may do to runs of a workflow, empty where nothing serves them."""
    forms = [step.action for step in definition.steps.values() if step.action is not None]
    posted = [action.name for action in forms if not action.permissions]
    # Permissions of the action guard the form, and not what can be read of the run.
    kept = [action.name for action in forms if action.permissions]
    if posted:
        return f"read, and post {_listed(posted)} to,"
    if kept:
        return f"read (though not post {_listed(kept)} to)"
    return "read" if is_served else ""


def _listed(names: list[str]) -> str:
    *others, last = map(repr, names)
    return f"{', '.join(others)} and {last}" if others else last


def _titled(definition: WorkflowDefinition) -> str:
    versions = [each for each in registry if each.name == definition.name]
    version = f" (version {definition.version!r})" if len(versions) > 1 else ""
    return f"workflow {definition.name!r}{version}"


def serves_runs() -> bool:
    """Return whether the project's URLs lead to runs, under whichever prefix and namespace."""
    if find_spec("rest_framework") is None or not getattr(settings, "ROOT_URLCONF", None):
        return False
    from .views import run_view

    def leads(patterns: Any) -> bool:
        return any(
            leads(each.url_patterns) if hasattr(each, "url_patterns") else each.callback is run_view
            for each in patterns
        )

    return leads(get_resolver().url_patterns)


def _duplicates() -> Iterator[CheckMessage]:
    owners: dict[str, tuple[WorkflowDefinition, StepDefinition]] = {}
    for definition, step in declared_actions():
        name = step.action.name
        owner, other = owners.setdefault(name, (definition, step))
        if owner.name != definition.name:
            yield _duplicate(f"Two workflows have an action {name!r}: {_path(owner)} and {_path(definition)}.")
        elif owner is definition and other is not step:
            where = f"{_path(definition)}.{other.name} and {_path(definition)}.{step.name}"
            yield _duplicate(f"Two steps of {_titled(definition)} have an action {name!r}: {where}.")
        owners[name] = (definition, step)


def _duplicate(text: str) -> Error:
    return Error(text, hint="Give one of them another @statezero_action(name=…).", id="django_ai.E041")


def _path(definition: WorkflowDefinition) -> str:
    return definition.cls.__name__


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
    if fault := _filter_fault(serializer, action):
        return fault
    missing = sorted(needed - set(serializer.fields) - OFFERED)
    return f"its serializer lacks {', '.join(missing)}, which the step needs." if missing else None


def _filter_fault(serializer: Any, action: Action) -> str | None:
    """Return what is wrong with the filters of an action's relations, without asking the database."""
    from .serializers import filters_of

    for name in filters_of(action):
        field = serializer.fields.get(name)
        relation = getattr(field, "child_relation", None) or getattr(field, "child", None) or field
        try:
            if hasattr(relation, "get_queryset"):
                str(relation.get_queryset().query)
        except EmptyResultSet:
            continue  # a filter that no row can pass is a filter
        except (FieldError, ValueError, TypeError) as error:
            return f"the filter_queryset of {name!r} cannot be used: {error}"
    return None


register_check(check_actions)
register_check(check_visibility)
register_check(check_open_forms, Tags.security, deploy=True)
