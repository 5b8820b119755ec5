"""The schema of an action: its fields, their choices and how they are shown, as JSON-ready data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.fields import empty

from ..authoring.actions import Action, display_of
from ..metadata import FieldDisplayConfig, jsonable
from .serializers import RUN_ID, input_serializer, limit_rows
from .validation import MOST_ROWS

Field = serializers.Field[Any, Any, Any, Any]

# The first that fits tells a field's type and format; subclasses come before their bases.
_TYPES: tuple[tuple[type[Any], str, str | None], ...] = (
    (serializers.BooleanField, "boolean", None),
    (serializers.EmailField, "string", "email"),
    (serializers.URLField, "string", "uri"),
    (serializers.UUIDField, "string", "uuid"),
    (serializers.IntegerField, "integer", None),
    (serializers.FloatField, "number", None),
    (serializers.DecimalField, "number", "decimal"),
    (serializers.DateTimeField, "string", "date-time"),
    (serializers.DateField, "string", "date"),
    (serializers.TimeField, "string", "time"),
    (serializers.DurationField, "string", "duration"),
    (serializers.MultipleChoiceField, "array", None),
    (serializers.ManyRelatedField, "array", None),
    (serializers.ListSerializer, "array", None),
    (serializers.ListField, "array", None),
    (serializers.DictField, "object", None),
    (serializers.JSONField, "object", None),
    (serializers.Serializer, "object", None),
    (serializers.FileField, "string", "file"),
)

_LIMITS = ("max_length", "min_length", "max_value", "min_value", "max_digits", "decimal_places", "allow_blank")

# A select with more entries than this helps nobody: its field has no choices, and needs a component.
MOST_CHOICES = MOST_ROWS


def schema_of(action: Action, request: Any, *, lists_rows: bool) -> dict[str, Any]:
    """Return an action's schema: name, title, fields in their order, display.

    Args:
        action: whose form it is.
        request: what serializers get as their context.
        lists_rows: whether the choices of relations, which are rows of the database, are among it: for somebody who
            may post the form of a given run. Without, they are null.
    """
    display = display_of(action)
    serializer: Any = input_serializer(action)(context={"request": request})
    fields = serializer.fields
    if not lists_rows:
        hide_rows(fields)
    configs = {config.field_name: config for config in display.field_display_configs} if display else {}
    data = {
        "action_name": action.name,
        "title": action.name.replace("_", " ").capitalize(),
        "fields": {
            name: _field(name, field, configs.get(name))
            for name, field in fields.items()
            if name != RUN_ID and not field.read_only and not isinstance(field, serializers.HiddenField)
        },
        "display": display.as_dict() if display else {},
    }
    return jsonable(data)


def hide_rows(fields: Mapping[str, Any]) -> None:
    """Have no field of a serializer read rows when it is described."""
    for field in fields.values():
        limit_rows(field, lambda rows: None)
        inner = field.child if isinstance(field, serializers.ListSerializer) else field
        if isinstance(inner, serializers.Serializer):
            hide_rows(inner.fields)


def default_of(field: Field) -> Any:
    """Return a field's default as JSON has it; None where it has none, computes it or is hidden from people."""
    if field.default is empty or field.default is None or callable(field.default):
        return None
    if isinstance(field, serializers.HiddenField):
        return None
    return field.to_representation(field.default)


def _field(name: str, field: Field, config: FieldDisplayConfig | None = None) -> dict[str, Any]:
    kind, form = _type(field)
    helps = [text for text in (field.help_text, config and config.display_help_text) if text]
    described: dict[str, Any] = {
        "type": kind,
        "format": form,
        "label": field.label or name.replace("_", " ").capitalize(),
        "help_text": " ".join(map(str, helps)),
        "required": field.required,
        "nullable": field.allow_null,
        "default": default_of(field),
        "choices": _choices(field),
        "accept": field.style.get("accept") or ("image/*" if isinstance(field, serializers.ImageField) else None),
        "multiline": bool(field.style.get("base_template") == "textarea.html"),
        "component": config.display_component if config else None,
        "filter_queryset": config.filter_queryset if config else None,
    }
    described |= {key: getattr(field, key) for key in _LIMITS if getattr(field, key, None) is not None}
    child = getattr(field, "child", None)
    if child is not None:
        described["items"] = _field(name, child)
    if isinstance(field, serializers.Serializer):
        described["fields"] = {key: _field(key, inner) for key, inner in field.fields.items()}
    return described


def _type(field: Field) -> tuple[str, str | None]:
    for known, kind, form in _TYPES:
        if isinstance(field, known):
            return kind, form
    return "string", None


def _choices(field: Any) -> list[dict[str, Any]] | None:
    if isinstance(field, serializers.ManyRelatedField):
        return _choices(field.child_relation)
    if isinstance(field, serializers.RelatedField):
        return _related(field)
    if not isinstance(field, serializers.ChoiceField):
        return None
    return [{"value": value, "label": str(label)} for value, label in field.choices.items()]


def _related(field: Any) -> list[dict[str, Any]] | None:
    queryset = field.get_queryset()
    if queryset is None:
        return None
    found = list(queryset[: MOST_CHOICES + 1])
    if len(found) > MOST_CHOICES:
        return None
    return [{"value": field.to_representation(item), "label": field.display_value(item)} for item in found]
