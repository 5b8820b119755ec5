"""Display metadata of steps: what a form or a page needs to show a step to a person."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder


@dataclass(frozen=True)
class FieldGroup:
    """Fields that belong together under one heading."""

    display_title: str
    display_description: str | None = None
    field_names: Sequence[str] = ()


@dataclass(frozen=True)
class FieldDisplayConfig:
    """How one field is shown.

    Args:
        field_name: the field.
        display_component: the name of the front end's component that renders it.
        filter_queryset: filters for the choices of a relation, handed through to the front end.
        display_help_text: help for the person who fills it in.
    """

    field_name: str
    display_component: str | None = None
    filter_queryset: dict[str, Any] | None = None
    display_help_text: str | None = None


@dataclass(frozen=True)
class StepDisplayMetadata:
    """How a step is shown: heading, description, groups of fields and single fields."""

    display_title: str | None = None
    display_description: str | None = None
    field_groups: Sequence[FieldGroup] = field(default_factory=tuple)
    field_display_configs: Sequence[FieldDisplayConfig] = field(default_factory=tuple)

    def as_dict(self) -> dict[str, Any]:
        """Return the metadata as JSON has it, every key present, translated into the active language."""
        return jsonable(asdict(self))


def jsonable(data: dict[str, Any]) -> dict[str, Any]:
    """Return data in which translated texts, dates and decimals have become what JSON can carry."""
    carried: dict[str, Any] = json.loads(json.dumps(data, cls=DjangoJSONEncoder))
    return carried
