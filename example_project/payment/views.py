"""Payments that belong to no order."""

from typing import Any

from django.urls import reverse

from django_ai.automation.workflows.core import engine
from shop.endpoints import FormEndpoint, Outcome

from .forms import PaymentForm
from .workflows import PaymentWorkflow


class TakePayment(FormEndpoint):
    form_class = PaymentForm

    def act(self, form: PaymentForm, **kwargs: Any) -> Outcome:
        run = engine.start(PaymentWorkflow, **form.cleaned_data)
        return Outcome(page=reverse("home"), data={"run": run.pk})
