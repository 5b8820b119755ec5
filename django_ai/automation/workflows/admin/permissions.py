"""Who may see runs, and who may do what to them: Django's permissions, and three of our own."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from ..models import WorkflowRun
from ..permissions import visible_to
from .base import ModelAdmin
from .verbs import VERBS, Verb


def _may(request: HttpRequest, action: str) -> bool:
    return request.user.has_perm(f"{WorkflowRun._meta.app_label}.{action}_workflowrun")


def may_see(request: HttpRequest) -> bool:
    """Say whether the user may see runs."""
    return _may(request, "view") or _may(request, "change")


class RunPermissions(ModelAdmin):
    """Runs are started by code and deleted by the retention, never by hand."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows that the project lets this user see; every page and action begins with them."""
        rows: QuerySet[Any] = super().get_queryset(request)
        return visible_to(request, rows) if issubclass(rows.model, WorkflowRun) else rows

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_retry_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say whether the user may retry runs and begin them anew from an earlier step."""
        return _may(request, "retry")

    def has_cancel_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say whether the user may cancel runs."""
        return _may(request, "cancel")

    def has_signal_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say whether the user may send signals to runs."""
        return _may(request, "signal")

    def may(self, request: HttpRequest, verb: Verb) -> bool:
        """Say whether the user may do this; who may not see runs may do nothing to them."""
        allowed = getattr(self, f"has_{verb.permission}_permission")
        return bool(self.has_view_permission(request) and allowed(request))

    def allowed_verbs(self, request: HttpRequest, run: WorkflowRun) -> list[Verb]:
        """Return what the user may do to a run as it is now."""
        return [verb for verb in VERBS.values() if verb.applies(run) and self.may(request, verb)]
