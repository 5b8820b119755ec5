"""Who may read details: staff who may see runs, senders of the token, or everybody where the project says so."""

from __future__ import annotations

from django.db import Error
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from ...conf import settings
from ..permissions import is_staff


def may_read(request: HttpRequest) -> bool:
    """Say whether the sender of this request may read the details of health, and the metrics."""
    return settings.MONITORING_PUBLIC or _has_token(request) or _is_staff(request)


def _has_token(request: HttpRequest) -> bool:
    token = settings.MONITORING_TOKEN
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    return bool(token) and kind.lower() == "bearer" and constant_time_compare(given.strip(), str(token))


def _is_staff(request: HttpRequest) -> bool:
    user = getattr(request, "user", None)
    try:
        if settings.RUNS_VISIBLE_TO is not None:  # the figures are of all runs
            return bool(user and user.is_active and user.is_superuser)
        return bool(user) and is_staff(request)
    except Error:  # sessions are in the database that may be away
        return False
