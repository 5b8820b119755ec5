"""The front page, and the runs as JSON."""

from typing import Any

from django.forms import Form
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from appointments.forms import AppointmentForm
from django_ai.automation.workflows.models import WorkflowRun
from orders.forms import OrderForm
from registration.forms import RegistrationForm
from reminders.forms import CartForm

from .people import answer_page

MOST_RUNS = 500


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show the forms that start a workflow, and all runs as they move."""
    forms = [
        ("Place an order", "orders", OrderForm()),
        ("Register", "registrations", RegistrationForm()),
        ("Leave a cart behind", "reminders", CartForm()),
        ("Book an appointment", "appointments", AppointmentForm()),
        ("Onboard a property", "onboardings", Form()),
        ("Hand in an expense", "expenses", Form()),
    ]
    return render(request, "shop/home.html", {"forms": forms})


@require_safe
def run_list(request: HttpRequest) -> JsonResponse:
    """List the newest runs, newest first."""
    runs = WorkflowRun.objects.select_related("suspension").order_by("-id")[:MOST_RUNS]
    return JsonResponse({"runs": [run_data(run) for run in runs]})


@require_safe
def run_detail(request: HttpRequest, run_id: int) -> JsonResponse:
    """Show one run with its history."""
    run = get_object_or_404(WorkflowRun, pk=run_id)
    history = [
        {
            "step": execution.step_name,
            "status": execution.status,
            "attempts": execution.attempts,
            "error": execution.error,
            "seconds": execution.duration.total_seconds(),
        }
        for execution in run.step_executions.all()
    ]
    return JsonResponse({**run_data(run), "history": history})


def run_data(run: WorkflowRun) -> dict[str, Any]:
    """Return a run as JSON-ready data."""
    return {
        **run.current_step_display,
        "id": run.pk,
        "workflow": run.name,
        "parent": run.parent_run_id,
        "event": run.triggered_by_event_id,
        "attempt": run.attempt,
        "error": run.error,
        "wakes": run.wake_at,
        "answer_page": answer_page(run),
        "created": run.created_at,
    }
