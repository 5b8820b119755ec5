"""Registration of an action with StateZero, which then serves its URL and shows it in its schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.apps import apps
from rest_framework import serializers
from rest_framework.fields import empty
from statezero.core.actions import action
from statezero.core.classes import DisplayMetadata, FieldDisplayConfig, FieldGroup
from statezero.core.interfaces import AbstractActionPermission

from ..authoring.actions import Action, display_of
from ..exceptions import DeclarationError
from ..metadata import StepDisplayMetadata
from . import permissions
from .actions import Posting, perform, posting_of
from .schema import default_of, hide_rows
from .serializers import input_serializer


def register(declared: Action) -> None:
    """Make an action StateZero's own; under a name that is there already, replace that one."""
    action(
        _function(declared),
        name=declared.name,
        docstring=declared.function.__doc__,
        serializer=_serializer(declared),
        response_serializer=_answer_serializer(declared),
        permissions=[_permission(declared)],
        display=_display(display_of(declared)),
    )


def _function(declared: Action) -> Any:
    def post(*, request: Any, **data: Any) -> dict[str, Any]:
        return perform(_posting(declared.name, request), request, data)

    # StateZero attributes an action to the app in whose directory the code of its function lies.
    post.__code__ = post.__code__.replace(co_filename=_file(declared), co_name=declared.name)
    post.__name__ = post.__qualname__ = declared.name
    post.__module__ = declared.function.__module__
    return post


def _file(declared: Action) -> str:
    # One action that lies in no installed app would break the schema of all.
    path = declared.function.__code__.co_filename
    directories = [Path(config.path).resolve() for config in apps.get_app_configs()]
    return path if any(parent in directories for parent in Path(path).resolve().parents) else __file__


def _posting(name: str, request: Any) -> Posting:
    """Return the posting of a request. StateZero asks several times in one request: for permission, data, the step."""
    known: dict[str, Posting] = request.__dict__.setdefault("_workflow_postings", {})
    if name not in known:
        known[name] = posting_of(name, request)
    return known[name]


def _serializer(declared: Action) -> type[Any]:
    class Serializer:
        # Made when the first form comes: only then can every type hint be resolved.
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            if not kwargs:
                return _described(declared)
            posting = _posting(declared.name, kwargs["context"]["request"])
            return input_serializer(posting.action)(*args, **kwargs)

    return Serializer


def _described(declared: Action) -> Any:
    """Return a serializer for StateZero's schema, which everybody may read: without rows, with defaults as JSON."""
    try:
        serializer: Any = input_serializer(declared)()
    except DeclarationError:
        return Unknown()  # one action with a fault must not take the schema of all away
    hide_rows(serializer.fields)
    for field in serializer.fields.values():
        if not callable(field.default):
            field.default = default_of(field) if field.default is not empty else empty
    return serializer


def _answer_serializer(declared: Action) -> type[Any] | None:
    if declared.response_serializer is None:
        return None

    class Answer:
        # The answer is made, and checked, by the action of the run's own version before this is asked.
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            return Given(kwargs["data"]) if "data" in kwargs else declared.response_serializer(*args, **kwargs)

    return Answer


class Given:
    """A response that is final."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.validated_data = data

    def is_valid(self) -> bool:
        return True


class Unknown(serializers.Serializer[Any]):
    """The fields of an action whose declaration is at fault, as the system check says."""


def _permission(declared: Action) -> type[AbstractActionPermission]:
    class Permission(AbstractActionPermission):  # type: ignore[misc]
        def has_permission(self, request: Any, action_name: str) -> bool:
            _posting(action_name, request)  # which raises the answer where it refuses
            return True

        def has_action_permission(self, request: Any, action_name: str, validated_data: dict[str, Any]) -> bool:
            permissions.check_data(_posting(action_name, request).action, request, validated_data)
            return True

    names = [getattr(item, "__name__", type(item).__name__) for item in declared.permissions]
    Permission.__name__ = Permission.__qualname__ = "And".join(names) or "RunPermission"
    return Permission


def _display(metadata: StepDisplayMetadata | None) -> DisplayMetadata | None:
    if metadata is None:
        return None
    data = metadata.as_dict()
    return DisplayMetadata(
        display_title=data["display_title"],
        display_description=data["display_description"],
        field_groups=[FieldGroup(**group) for group in data["field_groups"]],
        field_display_configs=[FieldDisplayConfig(**config) for config in data["field_display_configs"]],
    )
