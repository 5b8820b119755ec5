"""Placing an order, looking at it, and the manager's approval."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from django_ai.automation.workflows.core import engine
from shop.endpoints import FormEndpoint, Outcome

from .forms import ApprovalForm, OrderForm
from .models import Order
from .workflows import OrderWorkflow


class PlaceOrder(FormEndpoint):
    form_class = OrderForm

    # The order and its run come into being together or not at all.
    @transaction.atomic
    def act(self, form: OrderForm, **kwargs: Any) -> Outcome:
        order = form.save()
        order.run = engine.start(OrderWorkflow, order_id=order.pk)
        order.save(update_fields=["run"])
        data = {"run": order.run.pk, "order": order.pk}
        return Outcome(page=reverse("order", args=[order.pk]), data=data)


# A real shop lets only its manager do this.
class Approve(FormEndpoint):
    form_class = ApprovalForm

    def act(self, form: ApprovalForm, **kwargs: Any) -> Outcome:
        order = get_object_or_404(Order, pk=kwargs["order_id"])
        reached = engine.signal("order_approval", form.cleaned_data, correlate=order.pk)
        page = reverse("order", args=[order.pk])
        return Outcome(page=page, data={"reached": reached}, status=200 if reached else 409)


@require_safe
def order_page(request: HttpRequest, order_id: int) -> HttpResponse:
    """Show an order, how far it is, and what the manager can do."""
    order = get_object_or_404(Order.objects.select_related("product", "run"), pk=order_id)
    asks = order.run is not None and order.run.waiting_signal == "order_approval"
    return render(request, "orders/order.html", {"order": order, "run": order.run, "asks": asks})
