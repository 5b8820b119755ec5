"""What a post to an action must contain, and what it is answered with."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from rest_framework import serializers
from rest_framework.utils import html

from ..authoring.actions import Action
from ..exceptions import FormFailed
from ..models import WorkflowRun
from .hints import serializer_of

RUN_ID = "workflow_run_id"


@cache
def input_serializer(action: Action) -> type[serializers.BaseSerializer[Any]]:
    """Return the action's serializer class, or one of its type hints, with ``workflow_run_id`` in it."""
    declared = action.serializer or serializer_of(action.function)

    class WithRunId(declared):  # type: ignore[misc, valid-type]
        def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
            fields = super().get_fields()
            for field in fields.values():
                if isinstance(field, serializers.DictField | serializers.Serializer):
                    field.get_value = partial(_object_of, field.get_value, field)  # type: ignore[method-assign]
            if RUN_ID in fields:
                return dict(fields)
            return {RUN_ID: serializers.IntegerField(min_value=1), **fields}

    WithRunId.__name__ = declared.__name__
    WithRunId.__qualname__ = declared.__qualname__
    WithRunId.__module__ = declared.__module__
    WithRunId.__doc__ = declared.__doc__
    return WithRunId


def _object_of(usual: Callable[[Any], Any], field: serializers.Field[Any, Any, Any, Any], data: Any) -> Any:
    """Return the object that a form posts for a field: beside files it is JSON in a part of its own."""
    if not html.is_html_input(data) or field.field_name not in data:
        return usual(data)
    try:
        return json.loads(data[field.field_name])
    except ValueError:
        return data[field.field_name]  # which the field refuses


def answer_of(action: Action, run: WorkflowRun) -> dict[str, Any]:
    """Return what a post is answered with: where the run is now.

    A ``response_serializer`` picks from that and from the fields of the run's context. Raises
    FormFailed where they do not fit it.
    """
    display: dict[str, Any] = {RUN_ID: run.pk, **run.current_step_display}
    if action.response_serializer is None:
        return display
    response = action.response_serializer(data={**run.data, **display})
    if not response.is_valid():
        raise FormFailed(
            f"The answer of action {action.name!r} does not fit its response_serializer: {response.errors}"
        )
    return dict(response.data)
