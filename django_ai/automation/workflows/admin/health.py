"""The page on health: every check, what was measured, and what to do."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from ..health import Grade, report
from ..models import Pulse
from . import banner
from .permissions import RunPermissions, may_see

# The colours that the states of runs have.
_BADGES = {Grade.OK: "completed", Grade.WARN: "suspended", Grade.FAIL: "failed"}


@admin.register(Pulse)
class HealthAdmin(RunPermissions):
    """Shows health to all who may see runs; its place in the list of models is the way to it."""

    class Media:
        css = {"all": ["django_ai/workflows/admin.css"]}

    def __init__(self, model: type[Pulse], admin_site: AdminSite) -> None:
        super().__init__(model, admin_site)
        banner.show_on(admin_site)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # There is no page for a row.
        return obj is None and may_see(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_see(request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Look, and show what was found."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = report()
        context = {
            **self.admin_site.each_context(request),
            "title": "Health",
            "opts": self.opts,
            "media": self.media,
            "report": found,
            "badge": _BADGES[found.grade],
            "lines": [(check, _BADGES[check.grade]) for check in found.checks],
        }
        return TemplateResponse(request, "admin/django_ai_workflows/health.html", context)
