"""An order: reserve, let the manager approve what is expensive, take the money, ship."""

from datetime import timedelta
from decimal import Decimal

from django.conf import settings
from pydantic import BaseModel, Field

from django_ai.automation.workflows.core import (
    Command,
    SubflowResult,
    WorkflowStatus,
    complete,
    get_context,
    goto,
    run_subflow,
    step,
    wait,
    workflow,
)
from payment.workflows import PaymentWorkflow
from shipment.workflows import ShipmentWorkflow

from .models import Order, Product


@workflow("order")
class OrderWorkflow:
    class Context(BaseModel):
        order_id: int = Field(json_schema_extra={"model": "orders.Order"})
        product_id: int = Field(json_schema_extra={"model": "orders.Product"})
        quantity: int
        total: Decimal
        customer: str
        approved: bool = False
        reserved: bool = False
        reason: str = ""
        active_subworkflow_run_id: int | None = None

    @classmethod
    def create_context(cls, order_id: int) -> Context:
        order = Order.objects.select_related("product").get(pk=order_id)
        return cls.Context(
            order_id=order.pk,
            product_id=order.product_id,
            quantity=order.quantity,
            total=order.total,
            customer=order.customer,
        )

    @step(start=True)
    def reserve_items(self) -> Command:
        ctx = get_context()
        ctx.reserved = Product.take(ctx.product_id, ctx.quantity)
        if not ctx.reserved:
            ctx.reason = "It is sold out."
            return goto(self.cancel)
        if ctx.total >= settings.SHOP_APPROVAL_FROM:
            return goto(self.ask_manager, progress=0.2)
        return goto(self.pay, progress=0.2)

    @step()
    def ask_manager(self) -> Command:
        ctx = get_context()
        return wait.for_signal(
            "order_approval",
            correlate="{order_id}",
            timeout=timedelta(days=7),
            on_timeout=self.forget,
            display_title="The manager's approval",
            display_subtitle=f"{ctx.customer} orders for {ctx.total} €",
            display_waiting_for="the manager",
        )

    @step()
    def forget(self) -> Command:
        get_context().reason = "The manager did not answer."
        return goto(self.cancel)

    @step()
    def decide(self) -> Command:
        ctx = get_context()
        if ctx.approved:
            return goto(self.pay, progress=0.4)
        ctx.reason = ctx.reason or "The manager declined."
        return goto(self.cancel)

    @step()
    def pay(self) -> Command:
        ctx = get_context()
        return run_subflow(
            PaymentWorkflow,
            on_complete=self.after_payment,
            reference=f"order-{ctx.order_id}",
            amount=ctx.total,
            card=Order.objects.get(pk=ctx.order_id).card,
            display_title="Payment",
        )

    @step()
    def after_payment(self, subflow_result: SubflowResult[PaymentWorkflow.Context]) -> Command:
        ctx = get_context()
        if subflow_result.status != WorkflowStatus.COMPLETED:
            ctx.reason = f"The payment failed: {subflow_result.error}"
            return goto(self.cancel)
        self._mark(Order.Status.PAID)
        return goto(self.ship, progress=0.6)

    @step()
    def ship(self) -> Command:
        ctx = get_context()
        return run_subflow(
            ShipmentWorkflow,
            on_complete=self.after_shipment,
            reference=f"order-{ctx.order_id}",
            recipient=ctx.customer,
            display_title="Shipment",
        )

    @step()
    def after_shipment(self, subflow_result: SubflowResult[ShipmentWorkflow.Context]) -> Command:
        self._mark(Order.Status.DELIVERED)
        return complete(
            display_title="Delivered",
            display_subtitle=f"Parcel {subflow_result.context.tracking_code} is with {get_context().customer}",
        )

    @step()
    def cancel(self) -> Command:
        ctx = get_context()
        if ctx.reserved:
            Product.put_back(ctx.product_id, ctx.quantity)
        self._mark(Order.Status.CANCELLED)
        return complete(display_title="Cancelled", display_subtitle=ctx.reason)

    def _mark(self, status: Order.Status) -> None:
        Order.objects.filter(pk=get_context().order_id).update(status=status)
