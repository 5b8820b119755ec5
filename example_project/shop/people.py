"""Where a person answers what a run waits for."""

from collections.abc import Callable, Mapping
from typing import Any

from django.urls import reverse

from django_ai.automation.workflows.models import WorkflowRun

# A signal's name → the page that sends it, from the context of the run that waits. In a real shop
# nobody but the owner of the mailbox would see the link of an e-mail.
PAGES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "order_approval": lambda context: reverse("order", args=[context["order_id"]]),
    "email_verified": lambda context: reverse("verify_email", args=[context["token"]]),
}

# The workflows whose runs have a page at the desk.
AT_THE_DESK = {"property_onboarding", "expense_approval"}


def answer_page(run: WorkflowRun) -> str:
    """Return the page where a person answers what `run` waits for, or an empty string."""
    if run.name in AT_THE_DESK and run.waits_for:
        return reverse("desk", args=[run.pk])
    page = PAGES.get(run.waiting_signal)
    return page(run.data) if page else ""
