"""The template tag that makes a run a live page: {% load workflows %}{% workflow_run run %}."""

from __future__ import annotations

from typing import Any

from django import template
from django.core.exceptions import ImproperlyConfigured
from django.middleware.csrf import get_token
from django.urls import NoReverseMatch, reverse

from ..models import WorkflowRun

register = template.Library()


@register.inclusion_tag("django_ai/workflows/workflow_run.html", takes_context=True)
def workflow_run(context: template.Context, run: WorkflowRun | int, endpoint: str | None = None) -> dict[str, Any]:
    """Show a run as it is now, with its form where it waits for one; the page follows the run by itself.

    Args:
        run: the run or its id.
        endpoint: where ``actions/…/`` and ``runs/…/`` are; by default where the app's URLs are included.
    """
    request = context.get("request")
    run_id = run.pk if isinstance(run, WorkflowRun) else run
    return {
        "run_id": run_id,
        "endpoint": endpoint or _endpoint(run_id),
        "csrf_token": get_token(request) if request else "",
    }


def _endpoint(run_id: int) -> str:
    try:
        return reverse("django_ai_workflows:run", args=[run_id]).removesuffix(f"runs/{run_id}/")
    except NoReverseMatch as error:
        raise ImproperlyConfigured(
            "{% workflow_run %} finds no endpoint: add"
            ' path("statezero/", include("django_ai.automation.workflows.urls")) to your URLs, or give it endpoint=.'
        ) from error
