"""A status as a coloured word."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..machine.statuses import WorkflowStatus


def badge(status: str) -> SafeString:
    """Return a status as a badge."""
    return format_html('<span class="wf-badge wf-badge--{}">{}</span>', status, WorkflowStatus(status).label)
