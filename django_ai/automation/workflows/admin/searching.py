"""What a person may type to find runs: a number, a key, a tag, or a field of the context."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.fields.json import KeyTransform
from django.http import HttpRequest

from ..authoring.registry import registry
from ..masking import sensitive_fields
from ..models import RunTag, WorkflowRun
from .bounds import CONTEXT_WINDOW, newest

HELP = "A run's number, idempotency key or tag; tag:name for all with a tag; field=value for a value of the context."

# Of the runs with a tag that is looked for together with numbers and keys, the newest.
MOST_TAGGED = 1_000


def search(request: HttpRequest, runs: QuerySet[WorkflowRun], term: str) -> QuerySet[WorkflowRun]:
    """Return those of ``runs`` that a search term finds."""
    term = term.strip()
    field, equals, value = term.partition("=")
    if not term:
        return runs
    if term.startswith("tag:"):
        return runs.filter(tags__name=term.removeprefix("tag:").strip())
    if equals and field.strip():
        return _with_value(request, runs, field.strip(), value.strip())
    return runs.filter(pk__in=_named(runs.db, term))


def _named(using: str, term: str) -> list[int]:
    """Return the ids of runs with this number, key or tag, each found by an index."""
    # The index of the keys begins with the workflow's name.
    names = {definition.name for definition in registry}
    keyed = WorkflowRun.objects.using(using).filter(name__in=names, idempotency_key=term)
    tagged = RunTag.objects.using(using).filter(name=term).order_by("-run_id")
    found = [*keyed.values_list("pk", flat=True), *tagged.values_list("run_id", flat=True)[:MOST_TAGGED]]
    number = term.removeprefix("#")
    return [*found, int(number)] if number.isascii() and number.isdigit() and len(number) < 19 else found


def _with_value(request: HttpRequest, runs: QuerySet[WorkflowRun], field: str, value: str) -> QuerySet[WorkflowRun]:
    if any(field in sensitive_fields(definition.context_class) for definition in registry):
        return runs.none()  # who may not read a field may not guess it either
    values = [value, *_as_json(value)]
    found = Q()
    for possible in values:
        found |= Q(_searched=possible)
    return newest(request, runs, CONTEXT_WINDOW).alias(_searched=KeyTransform(field, "data")).filter(found)


def _as_json(text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return []
    return [] if value is None else [value]
