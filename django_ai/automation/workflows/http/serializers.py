"""What a post to an action must contain, and what it is answered with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.utils import html

from ..authoring.actions import Action, display_of
from ..authoring.registry import registry
from ..exceptions import FormFailed
from ..machine.keys import stored_fields
from ..models import WorkflowRun
from .hints import serializer_of
from .validation import read_json, validate

Field = serializers.Field[Any, Any, Any, Any]

RUN_ID = "workflow_run_id"

# What leaves some rows of a queryset, or None where no field may read any.
Limit = Callable[[QuerySet[Any]], QuerySet[Any] | None]


@cache
def input_serializer(action: Action) -> type[serializers.BaseSerializer[Any]]:
    """Return the action's serializer class, or one of its type hints, with ``workflow_run_id`` in it."""
    declared = action.serializer or serializer_of(action.function)
    filters = filters_of(action)

    class WithRunId(declared):  # type: ignore[misc, valid-type]
        def get_fields(self) -> dict[str, Any]:
            fields: dict[str, Any] = super().get_fields()
            for name, field in fields.items():
                if isinstance(field, serializers.DictField | serializers.Serializer | serializers.JSONField):
                    of_form = partial(_object_of, field.get_value, field)
                    field.get_value = of_form  # type: ignore[method-assign]
                if name in filters:
                    limit_rows(field, partial(_filtered, filters[name]))
            if RUN_ID in fields:
                return dict(fields)
            return {RUN_ID: serializers.IntegerField(min_value=1), **fields}

        def run_validation(self, data: Any = empty) -> Any:
            return validate(self, super().run_validation, data)

    WithRunId.__name__ = declared.__name__
    WithRunId.__qualname__ = declared.__qualname__
    WithRunId.__module__ = declared.__module__
    WithRunId.__doc__ = declared.__doc__
    return WithRunId


def filters_of(action: Action) -> dict[str, Mapping[str, Any]]:
    """Return the fields of an action that offer some rows of a relation only, with the filters of those."""
    display = display_of(action)
    configs = display.field_display_configs if display else ()
    return {config.field_name: config.filter_queryset for config in configs if config.filter_queryset}


def limit_rows(field: Any, limit: Limit) -> None:
    """Have a relation, or the relations in a list or dict, show and accept only the rows that ``limit`` leaves."""
    inner = getattr(field, "child_relation", None) or getattr(field, "child", None)
    if inner is not None:
        limit_rows(inner, limit)
    elif hasattr(field, "get_queryset"):
        field.get_queryset = partial(_limited, field.get_queryset, limit)


def _limited(usual: Callable[[], Any], limit: Limit) -> Any:
    rows = usual()
    return None if rows is None else limit(rows)


def _filtered(filters: Mapping[str, Any], rows: QuerySet[Any]) -> QuerySet[Any]:
    # A filter that follows a relation to many would have the same row several times.
    return rows.filter(pk__in=rows.filter(**filters).values("pk"))


def _object_of(usual: Callable[[Any], Any], field: Field, data: Any) -> Any:
    """Return the object that a form posts for a field: beside files it is JSON in a part of its own."""
    if not html.is_html_input(data) or field.field_name not in data:
        return usual(data)
    try:
        return read_json(data[field.field_name])
    except ValueError:
        return usual(data) if isinstance(field, serializers.JSONField) else data[field.field_name]  # which refuses it


def answer_of(action: Action, run: WorkflowRun) -> dict[str, Any]:
    """Return what a post is answered with: where the run is now.

    A ``response_serializer`` picks from that and from the fields of the run's context. Raises
    FormFailed where they do not fit it.
    """
    display: dict[str, Any] = {RUN_ID: run.pk, **run.current_step_display}
    if action.response_serializer is None:
        return display
    response = action.response_serializer(data={**_by_name(run), **run.data, **display})
    if not response.is_valid():
        raise FormFailed(
            f"The answer of action {action.name!r} does not fit its response_serializer: {response.errors}"
        )
    return dict(response.data)


def _by_name(run: WorkflowRun) -> dict[str, Any]:
    """Return the run's context by the names of its fields, which an alias may have replaced in ``run.data``."""
    definition = registry.get(run.name, run.version)
    return stored_fields(definition.context_class, run.data) if definition else {}
