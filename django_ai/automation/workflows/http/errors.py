"""Exceptions as answers in StateZero's format: {"status", "type", "detail"}."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

import pydantic
from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions as drf
from rest_framework.response import Response

from ... import storable
from ..exceptions import FormFailed

logger = logging.getLogger(__name__)

# Exceptions of a step that speak to the person who posted; any other is a fault of the code.
EXPECTED = (
    DjangoValidationError,
    pydantic.ValidationError,
    PermissionDenied,
    Http404,
    drf.APIException,
)

_KINDS: dict[type[Exception], tuple[int, str]] = {
    drf.ValidationError: (400, "ValidationError"),
    DjangoValidationError: (400, "ValidationError"),
    PermissionDenied: (403, "PermissionDenied"),
    drf.PermissionDenied: (403, "PermissionDenied"),
    Http404: (404, "NotFound"),
    drf.NotFound: (404, "NotFound"),
    ObjectDoesNotExist: (404, "NotFound"),
}

_CODES = {400: "validation_error", 403: "permission_denied", 404: "not_found"}

# The most faults in an answer, and the most characters of each.
MOST_FAULTS = 100
LONGEST_FAULT = 300

# What is said in production, where the true words may tell too much.
_GUARDED = {403: _("Permission denied"), 409: _("A conflict occurred."), 500: _("Internal server error")}


def as_validation_error(error: pydantic.ValidationError) -> drf.ValidationError:
    """Return pydantic's complaints as a DRF error on the fields that they are about."""
    return drf.ValidationError(
        {".".join(map(str, item["loc"])) or "non_field_errors": [item["msg"]] for item in error.errors()}
    )


def shortened(detail: Any, most: int = MOST_FAULTS) -> Any:
    """Return the first faults of an error's detail, each in at most 300 characters: senders know what they sent."""
    return _first(detail, iter(range(most)))


def _first(detail: Any, budget: Iterator[int]) -> Any:
    if isinstance(detail, Mapping):
        found: dict[Any, Any] = {}
        for key, value in detail.items():
            inner = _first(value, budget)
            if inner is None:
                break
            found[_cut(key) if isinstance(key, str) else key] = inner
        return found
    if isinstance(detail, list | tuple):
        parts = (_first(value, budget) for value in detail)
        return list(takewhile(lambda part: part is not None, parts))
    return None if next(budget, None) is None else _cut(detail)


def _cut(text: Any) -> Any:
    known = str(text)
    said = storable.text(known[:LONGEST_FAULT]) + ("…" if len(known) > LONGEST_FAULT else "")
    return text if said == known else drf.ErrorDetail(said, code=getattr(text, "code", None))


def error_response(error: Exception) -> Response:
    """Return the answer for an exception."""
    status, kind = _kind(error)
    if status >= 500 and not isinstance(error, FormFailed):  # which is logged where it happened
        logger.error("A form could not be served.", exc_info=error)
    return Response({"status": status, "type": kind, "detail": _detail(error, status)}, status=status)


def _kind(error: Exception) -> tuple[int, str]:
    for known, kind in _KINDS.items():
        if isinstance(error, known):
            return kind
    return int(getattr(error, "status_code", 500)), type(error).__name__


def _detail(error: Exception, status: int) -> Any:
    if status in _GUARDED and not settings.DEBUG:
        return getattr(error, "safe_detail", None) or str(_GUARDED[status])
    if isinstance(error, DjangoValidationError):
        detail: Any = getattr(error, "message_dict", None) or error.messages
    else:
        detail = getattr(error, "detail", str(error))
    detail = shortened(detail)
    return _coded(detail, _CODES[status]) if status in _CODES else detail


def _coded(detail: Any, code: str) -> Any:
    if isinstance(detail, Mapping):
        return {key: _coded(value, code) for key, value in detail.items()}
    if isinstance(detail, list | tuple):
        return [_coded(value, code) for value in detail]
    return {"message": str(detail), "code": code}
