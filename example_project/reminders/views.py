"""Carts that are left behind."""

from typing import Any

from django.db import transaction
from django.urls import reverse

from django_ai.automation.workflows.core import engine
from shop.endpoints import FormEndpoint, Outcome

from .forms import CartForm
from .workflows import CartReminderWorkflow


class LeaveCart(FormEndpoint):
    form_class = CartForm

    @transaction.atomic
    def act(self, form: CartForm, **kwargs: Any) -> Outcome:
        cart = form.save()
        run = engine.start(CartReminderWorkflow, cart_id=cart.pk)
        return Outcome(page=reverse("home"), data={"run": run.pk, "cart": cart.pk})
