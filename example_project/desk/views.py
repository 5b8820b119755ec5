"""Starting a workflow, and the one page that shows any run."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from django_ai.automation.workflows.core import engine
from django_ai.automation.workflows.exceptions import WorkflowError
from django_ai.automation.workflows.models import WorkflowRun
from shop.endpoints import FormEndpoint, Outcome

from .workflows import ExpenseApprovalWorkflow, PropertyOnboardingWorkflow


class Start(FormEndpoint):
    """Starts a run of a workflow and goes to its page."""

    workflow: type = object

    def act(self, form: forms.Form, **kwargs: Any) -> Outcome:
        user = self.request.user
        run = engine.using(owner=user if user.is_authenticated else None).start(self.workflow)
        return Outcome(page=reverse("desk", args=[run.pk]), data={"run": run.pk})


class StartOnboarding(Start):
    workflow = PropertyOnboardingWorkflow


class StartExpense(Start):
    workflow = ExpenseApprovalWorkflow


class ConfirmOwnership(FormEndpoint):
    """What a click on the link of the e-mail does."""

    def act(self, form: forms.Form, **kwargs: Any) -> Outcome:
        run = get_object_or_404(WorkflowRun, pk=kwargs["run_id"])
        page = reverse("desk", args=[run.pk])
        try:
            reached = engine.signal("ownership_verified", run=run)
        except WorkflowError as error:  # it has ended, or waits for nothing of the kind
            return Outcome(page=page, data={"error": str(error)}, status=409)
        return Outcome(page=page, data={"reached": reached}, status=200)


@require_safe
def run_page(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show a run, whatever its workflow is and wherever it stands."""
    return render(request, "desk/run.html", {"run": get_object_or_404(WorkflowRun, pk=run_id)})


@require_safe
def mail_page(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show the e-mail that a real shop would send."""
    return render(request, "desk/mail.html", {"run": get_object_or_404(WorkflowRun, pk=run_id)})
