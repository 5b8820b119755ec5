"""Every page of the admin says so when workflows stand still.

By a message, which stock Django and its themes show alike, and no template of the project is touched.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from ..health import alarm
from .permissions import may_see

_SHOWN = "_workflows_stand_still"


def show_on(site: AdminSite) -> None:
    """Have the pages of this admin site show the banner to those who may see runs."""
    each_context = site.each_context
    if hasattr(each_context, _SHOWN):
        return

    def with_banner(request: HttpRequest) -> dict[str, Any]:
        context = each_context(request)
        if not hasattr(request, _SHOWN):
            setattr(request, _SHOWN, True)
            _warn(request, site)
        return context

    setattr(with_banner, _SHOWN, True)
    site.each_context = with_banner  # type: ignore[method-assign]


def _warn(request: HttpRequest, site: AdminSite) -> None:
    page = reverse(f"{site.name}:django_ai_workflows_pulse_changelist")
    # The page itself says it all, and a popup may have no room for messages.
    if request.path == page or "_popup" in request.GET or not may_see(request):
        return
    found = alarm()
    if found:
        text = format_html('Workflows stand still: {}. {} <a href="{}">Health</a>', found.value, found.advice, page)
        messages.warning(request, text, fail_silently=True)
