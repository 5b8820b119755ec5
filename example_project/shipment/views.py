"""Shipments that belong to no order."""

from typing import Any

from django.urls import reverse

from django_ai.automation.workflows.core import engine
from shop.endpoints import FormEndpoint, Outcome

from .forms import ShipmentForm
from .workflows import ShipmentWorkflow


class Ship(FormEndpoint):
    form_class = ShipmentForm

    def act(self, form: ShipmentForm, **kwargs: Any) -> Outcome:
        run = engine.start(ShipmentWorkflow, **form.cleaned_data)
        return Outcome(page=reverse("home"), data={"run": run.pk})
