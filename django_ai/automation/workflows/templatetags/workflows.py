"""The template tag that makes a run a live page: {% load workflows %}{% workflow_run run %}."""

from __future__ import annotations

import json
from typing import Any

from django import template
from django.core.exceptions import ImproperlyConfigured
from django.middleware.csrf import get_token
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from ..models import WorkflowRun

register = template.Library()

# The texts of workflow-run.js, by its keys: what it says in English, for translators.
TEXTS = {
    "submit": _("Submit"),
    "sending": _("Sending…"),
    "working": _("Working on it…"),
    "waiting": _("Waiting"),
    "waitingFor": _("Waiting for:"),
    "completed": _("Done"),
    "failed": _("This did not work out"),
    "failedHint": _("The process has stopped because of an error. Nothing more is needed from you."),
    "cancelled": _("Cancelled"),
    "cancelledHint": _("This process was given up."),
    "progress": _("Progress"),
    "optional": _("(optional)"),
    "onePerLine": _("One entry per line"),
    "checkFields": _("Please correct the marked fields."),
    "movedOn": _("Meanwhile this step was completed elsewhere. Here is where the process is now."),
    "missing": _("There is nothing here for you to see."),
    "offline": _("The connection is lost. Trying again…"),
}


@register.inclusion_tag("django_ai/workflows/workflow_run.html", takes_context=True)
def workflow_run(context: template.Context, run: WorkflowRun | int, endpoint: str | None = None) -> dict[str, Any]:
    """Show a run as it is now, with its form where it waits for one; the page follows the run by itself.

    Its own texts are in the language of the request.

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
        "texts": _translated(),
    }


def _endpoint(run_id: int) -> str:
    try:
        return reverse("django_ai_workflows:run", args=[run_id]).removesuffix(f"runs/{run_id}/")
    except NoReverseMatch as error:
        raise ImproperlyConfigured(
            "{% workflow_run %} finds no endpoint: add"
            ' path("statezero/", include("django_ai.automation.workflows.urls")) to your URLs, or give it endpoint=.'
        ) from error


def _translated() -> str:
    """Return the texts that are not what the page says anyway, as JSON; nothing where there are none."""
    texts = {key: gettext(text) for key, text in TEXTS.items() if gettext(text) != text}
    return json.dumps(texts, ensure_ascii=False) if texts else ""
