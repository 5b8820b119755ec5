"""Arguments of a command line become runs, users, times and data, or a clear error."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from ...storable import number_in
from ..authoring.registry import registry
from ..exceptions import UnknownWorkflow
from ..machine.definition import WorkflowDefinition
from ..models import WorkflowRun, WorkflowRunQuerySet
from ..runtime import rows

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def runs() -> WorkflowRunQuerySet:
    """Return the runs, with what they wait for."""
    return WorkflowRun.objects.using(rows.alias()).select_related("suspension")


def run(reference: str) -> WorkflowRun:
    """Return the run of an id, or of an idempotency key that no other workflow uses too.

    Raises:
        CommandError: there is none, or there are several.
    """
    number = number_in(reference.removeprefix("#"))
    # An id is what almost everybody means; a key that looks like one is found where no run has the id.
    found = list(runs().filter(pk=number)) if number is not None else []
    found = found or list(runs().filter(idempotency_key=reference).order_by("pk")[:10])
    if not found:
        raise CommandError(f"There is no run with the id or the idempotency key {reference!r}. See: workflows list")
    if len(found) > 1:
        candidates = ", ".join(f"#{item.pk} of {item.name}" for item in found)
        raise CommandError(f"Several runs have the idempotency key {reference!r}: {candidates}. Give the id of one.")
    return found[0]


def definition(name: str, version: str | None = None) -> WorkflowDefinition:
    """Return a workflow by its name. Raises CommandError, which names the nearest one."""
    try:
        return registry.exactly(name, version) if version else registry.find(name)
    except UnknownWorkflow as error:
        there_are = ", ".join(sorted({item.name for item in registry})) or "none"
        raise CommandError(f"{error} The workflows are: {there_are}.") from error


def workflow_name(name: str) -> str:
    """Return the name of a workflow that the code has, or of which there are runs. Raises CommandError."""
    if registry.get(name) is None and not runs().filter(name=name).exists():
        definition(name)
    return name


def moment(text: str, option: str) -> datetime:
    """Return the moment of ``2h``, ``30m``, ``7d`` (ago), of a date or of a date with time. Raises CommandError."""
    try:
        at = _moment(text.strip())
    except (ValueError, OverflowError) as error:
        raise CommandError(f"{option}: {text[:50]!r}: {error}.") from error
    if at is None:
        raise CommandError(f"{option}: {text[:50]!r} is no time. Write 30m, 2h, 7d, or a date such as 2027-01-31.")
    return at


def _moment(text: str) -> datetime | None:
    """Return a moment in UTC. Raises ValueError or OverflowError for one that is not in the calendar."""
    if span := re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)", text):
        return timezone.now() - timedelta(seconds=float(span[1]) * _UNITS[span[2]])
    day = parse_date(text)
    at = datetime(day.year, day.month, day.day) if day else parse_datetime(text)  # noqa: DTZ001 - made aware below
    if at is None:
        return None
    # In UTC, as databases take it: the conversion fails at the ends of the calendar.
    return (timezone.make_aware(at) if timezone.is_naive(at) else at).astimezone(UTC)


def json_object(text: str, option: str) -> dict[str, Any]:
    """Return a JSON object. Raises CommandError, which says where the text is no JSON."""
    data = _json(text, option)
    if not isinstance(data, dict):
        raise CommandError(f"{option} takes a JSON object such as '{{\"order_id\": 7}}', not {text!r}.")
    return data


def pairs(words: Iterable[str]) -> dict[str, Any]:
    """Return the fields of ``key=text`` and ``key:=JSON``; a Context turns texts into its own types.

    Raises:
        CommandError: a word is neither, or a key comes twice.
    """
    fields: dict[str, Any] = {}
    for word in words:
        key, sign, value = word.partition("=")
        is_json = key.endswith(":")
        key = key.removesuffix(":")
        if not sign or not key.isidentifier():
            raise CommandError(f"{word!r} is no field. Write key=text, or key:=JSON for numbers, lists and objects.")
        if key in fields:
            raise CommandError(f"The field {key!r} is given twice.")
        fields[key] = _json(value, key) if is_json else value
    return fields


def fields(text: str | None, option: str, words: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a JSON object and of words together. Raises CommandError where both have one."""
    given, more = json_object(text, option) if text else {}, pairs(words)
    if both := sorted(given.keys() & more.keys()):
        raise CommandError(f"{', '.join(both)}: given twice, in {option} and as key=value.")
    return {**given, **more}


def user(text: str) -> Any:
    """Return the user of a username, else of a primary key. Raises CommandError."""
    model = get_user_model()
    users: QuerySet[Any] = QuerySet(model)
    found = users.filter(**{model.USERNAME_FIELD: text}).first()
    if found is None and text.isdecimal():
        found = users.filter(pk=text).first()
    if found is None:
        raise CommandError(f"--owner: there is no user {text!r}.")
    return found


def _json(text: str, option: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise CommandError(f"{option} is no JSON: {error.msg} at character {error.pos + 1} of {text!r}.") from error
