"""Where in the admin runs, events and the rows that a run touches have their pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from django.apps import apps
from django.db.models import Model
from django.urls import NoReverseMatch, reverse
from pydantic import BaseModel

from ...events.models import Event
from ..machine.keys import all_keys
from ..models import WorkflowRun


def of_run(run_id: int, verb: str = "change") -> str:
    """Return the address of a run's page, or of what can be done to it."""
    return _page(WorkflowRun, run_id, verb)


def of_event(event_id: Any) -> str:
    """Return the address of an event's page, or an empty text."""
    return _page(Event, event_id) if event_id else ""


def models_of(context_class: type[BaseModel] | None) -> dict[str, str]:
    """Return the fields that hold the key of a row: those with ``json_schema_extra={"model": "app.Model"}``."""
    found = {}
    for name, field in (context_class.model_fields if context_class else {}).items():
        extra = field.json_schema_extra
        declared = str(extra.get("model", "")) if isinstance(extra, Mapping) else ""
        if label := declared or _model_in(field.annotation):
            found.update(dict.fromkeys(all_keys(name, field), label))
    return found


def _model_in(annotation: Any) -> str:
    """Return the label of the model in an annotation such as ``Django[Order] | None``, or an empty text."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return str(annotation._meta.label)
    parts = (getattr(annotation, "__origin__", None), *get_args(annotation))
    return next((label for part in parts if part is not annotation and (label := _model_in(part))), "")


def of_row(label: str, key: Any) -> str:
    """Return the address of a row's page, or an empty text where there is none."""
    try:
        model = apps.get_model(label) if label else None
    except (LookupError, ValueError):
        return ""
    return _page(model, key) if model is not None and key else ""


def of_entity(event: Event) -> str:
    """Return the address of the page of the row that an event is about, or an empty text."""
    return of_row(event.entity_type, event.entity_id)


def _page(model: type[Model], key: Any, page: str = "change") -> str:
    try:
        return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=[key])
    except NoReverseMatch:
        return ""
