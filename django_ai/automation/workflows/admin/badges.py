"""A status as a coloured word."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..machine.statuses import FAILED, FAILURE_LABELS, FailureKind, WorkflowStatus


def badge(status: str, failure_kind: str | None = None) -> SafeString:
    """Return a status as a badge, and behind it how a run failed if that was not an exception."""
    shown = format_html('<span class="wf-badge wf-badge--{}">{}</span>', status, WorkflowStatus(status).label)
    if status != FAILED or not failure_kind or failure_kind == FailureKind.EXCEPTION:
        return shown
    how = FAILURE_LABELS.get(failure_kind, failure_kind)
    return format_html('{} <span class="wf-quiet">{}</span>', shown, how)
