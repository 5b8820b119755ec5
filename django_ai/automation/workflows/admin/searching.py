"""What a person may type to find runs: a number, a key, a tag, or a field of the context."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.fields.json import KeyTransform
from django.http import HttpRequest

from ...parameters import LONGEST, is_storable, is_text
from ...storable import number_in
from ..authoring.registry import registry
from ..machine.secret_places import places_of
from ..models import RunTag, WorkflowRun
from .bounds import CONTEXT_WINDOW, newest

HELP = "A run's number, idempotency key or tag; tag:name for all with a tag; field=value for a value of the context."

# Of the runs with a tag that is looked for together with numbers and keys, the newest.
MOST_TAGGED = 1_000

# The largest whole number that every database keeps exactly in JSON.
LARGEST = 10**15


def search(request: HttpRequest, runs: QuerySet[WorkflowRun], term: str) -> QuerySet[WorkflowRun]:
    """Return those of ``runs`` that a search term finds."""
    term = term.strip()
    field, equals, value = term.partition("=")
    if not term:
        return runs
    if not is_text(term, LONGEST):
        return runs.none()
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
    number = number_in(term.removeprefix("#"))
    return found if number is None else [*found, number]


def _with_value(request: HttpRequest, runs: QuerySet[WorkflowRun], field: str, value: str) -> QuerySet[WorkflowRun]:
    readable = _runs_that_show(field)
    if not readable:
        return runs.none()
    found = Q()
    for possible in (value, *_as_json(value)):
        found |= Q(_searched=possible)
    seen = newest(request, runs.filter(readable), CONTEXT_WINDOW)
    return seen.alias(_searched=KeyTransform(field, "data")).filter(found)


def _runs_that_show(field: str) -> Q:
    """Return the runs on whose pages the whole value of a field is shown; a masked value is not found.

    Invariant: the search looks at no value that the page of its run masks.
    """
    found = Q()
    for name in {definition.name for definition in registry}:
        versions = {item.version: _shows(item.context_class, field) for item in registry if item.name == name}
        newest_one = registry.find(name).version
        if versions[newest_one]:  # by which runs of a version that is gone are read
            others = [version for version, shows in versions.items() if not shows]
            found |= Q(name=name) & ~Q(version__in=others) if others else Q(name=name)
        elif shown := [version for version, shows in versions.items() if shows]:
            found |= Q(name=name, version__in=shown)
    return found


def _shows(context_class: Any, field: str) -> bool:
    place = places_of(context_class).key(field)
    return bool(place.schemas) and not place.holds_secrets


def _as_json(text: str) -> list[Any]:
    """Return the value of a text as JSON, if every database can compare it."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [value] if value is not None and is_storable(value, LARGEST) else []
