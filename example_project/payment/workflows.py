"""Taking money: the call to the gateway is tried again until it answers, the booking happens once."""

from datetime import timedelta
from decimal import Decimal

from pydantic import BaseModel, Field

from django_ai.automation.workflows.core import Command, Retry, complete, get_context, goto, step, workflow

from . import gateway
from .models import Payment

PATIENT = Retry(
    max_attempts=6,
    base_delay=timedelta(seconds=0.5),
    backoff_factor=2,
    max_delay=timedelta(minutes=1),
    jitter=0.2,
    non_retryable=(gateway.CardDeclined,),
)


@workflow("payment")
class PaymentWorkflow:
    class Context(BaseModel):
        reference: str
        amount: Decimal
        card: str = Field(json_schema_extra={"sensitive": True})
        receipt: str = ""

    # A call to the outside must not hold a transaction open. It may happen twice if the worker dies
    # at the wrong moment; the key keeps the gateway from charging twice.
    @step(start=True, atomic=False, retry=PATIENT)
    def charge(self) -> Command:
        ctx = get_context()
        ctx.receipt = gateway.charge(ctx.reference, ctx.card, ctx.amount)
        return goto(self.book, progress=0.7)

    @step()
    def book(self) -> Command:
        ctx = get_context()
        Payment.objects.create(reference=ctx.reference, amount=ctx.amount, receipt=ctx.receipt)
        return complete(display_title="Paid", display_subtitle=f"{ctx.amount} € for {ctx.reference}")
