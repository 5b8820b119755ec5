"""The limits of a post: a larger one is refused before it is parsed, or before it is validated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sized
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http.request import RawPostDataException
from rest_framework import exceptions as drf
from rest_framework.request import Request

from ...conf import settings

# The name of a field in HTML forms: its lists have numbers in it, which Python reads up to 4,300 digits.
LONGEST_NAME = 500

# In JSON: a string as a whole, or a character that opens, closes or separates. Nothing is tried twice.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{},]', re.DOTALL)


class TooLarge(drf.APIException):
    """The body is larger than the project allows."""

    status_code = 413
    default_detail = "The request is too large."
    default_code = "too_large"


def data_of(request: Request) -> Mapping[str, Any]:
    """Parse the body of a post and return its fields.

    Raises:
        TooLarge: it has more bytes than ``DATA_UPLOAD_MAX_MEMORY_SIZE``, files aside (413).
        ParseError: it is no object, cannot be read, or has too many or too deeply nested values (400).
        UnsupportedMediaType: no parser is known for it (415).
    """
    try:
        _look_first(request)
        data = request.data
    except Exception as error:
        raise refused(error) from error
    if not isinstance(data, Mapping):
        raise drf.ParseError(f"Send an object of fields, not {type(data).__name__}.")
    check_values(data)
    return data


def refused(error: Exception) -> drf.APIException:
    """Return the response to an exception that a parser of the body raised, as an exception of the API."""
    if isinstance(error, drf.APIException):
        return error
    if isinstance(error, RequestDataTooBig):
        return TooLarge()
    if isinstance(error, SuspiciousOperation):
        return drf.ParseError(str(error))
    return drf.ParseError("The body cannot be read.")


def _look_first(request: Request) -> None:
    """Refuse a body that is too large, too deep or has too many parts, before a parser builds its data."""
    kind = (request.content_type or "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return  # Django counts its fields and bytes while it reads them, and puts files on the disk
    most: int | None = django_settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    if most is not None and length > most:
        raise TooLarge
    if not length:
        return  # a body without a length is not parsed
    try:
        body = request._request.body  # noqa: SLF001 - the parsers read it again
    except RawPostDataException:
        return  # something before this view has read it, by Django's own limits
    encoding = request._request.encoding or django_settings.DEFAULT_CHARSET  # noqa: SLF001
    text = body.decode(encoding)
    if "json" in kind or "*" in kind:  # a wildcard chooses the first parser, which reads JSON
        check_json(text)


def check_json(text: str) -> None:
    """Raise ParseError where a JSON text nests too deeply or has too many values, without parsing it."""
    depth = values = 0
    most, deepest = settings.FORM_MAX_VALUES, settings.FORM_MAX_DEPTH
    for token in _TOKEN.finditer(text):
        first = token[0][0]
        if first in "[{":
            depth += 1
        elif first in "]}":
            depth -= 1
        values += first in "[{,"
        _check(values, depth, most, deepest)


def check_values(data: Mapping[str, Any]) -> None:
    """Raise ParseError where parsed data nest too deeply or have too many values."""
    most, deepest = settings.FORM_MAX_VALUES, settings.FORM_MAX_DEPTH
    waiting: list[tuple[object, int]] = [(items_of(data), 1)]
    values = 0
    while waiting:
        value, depth = waiting.pop()
        values += len(value) if isinstance(value, Sized) and not isinstance(value, str | bytes) else 0
        _check(values, depth, most, deepest)
        inner: Iterable[Any] = ()
        if isinstance(value, Mapping):
            inner = value.values()
        elif isinstance(value, list | tuple):
            inner = value
        waiting.extend((each, depth + 1) for each in inner if isinstance(each, Mapping | list | tuple))
    if any(len(str(name)) > LONGEST_NAME for name in data):
        raise drf.ParseError(f"The name of a field has at most {LONGEST_NAME} characters.")


def items_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return parsed data as a plain dict; of an HTML form each field has the list of its values."""
    return dict(data.lists()) if hasattr(data, "lists") else dict(data)


def _check(values: int, depth: int, most: int, deepest: int) -> None:
    if values > most:
        raise drf.ParseError(f"A form may have at most {most:,} values, the items of its lists counted.")
    if depth > deepest:
        raise drf.ParseError(f"The values of a form may be nested at most {deepest} deep.")
