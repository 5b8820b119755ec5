"""A parcel is packed, travels for half a day and arrives."""

from django.conf import settings
from pydantic import BaseModel

from django_ai.automation.workflows.core import Command, complete, get_context, goto, sleep, step, workflow

from .models import Parcel


@workflow("shipment")
class ShipmentWorkflow:
    class Context(BaseModel):
        reference: str
        recipient: str
        parcel_id: int = 0
        tracking_code: str = ""

    @step(start=True)
    def pack(self) -> Command:
        ctx = get_context()
        parcel = Parcel.objects.create(reference=ctx.reference, recipient=ctx.recipient)
        ctx.parcel_id = parcel.pk
        ctx.tracking_code = parcel.tracking_code
        return goto(self.hand_over, progress=0.3)

    @step()
    def hand_over(self) -> Command:
        self._move_to(Parcel.Status.TRAVELLING)
        return sleep(
            settings.SHOP_DAY / 2,
            then=self.deliver,
            progress=0.6,
            display_title="On its way",
            display_subtitle=f"Parcel {get_context().tracking_code} is with the carrier",
        )

    @step()
    def deliver(self) -> Command:
        self._move_to(Parcel.Status.DELIVERED)
        return complete(display_title="Delivered", display_subtitle=f"to {get_context().recipient}")

    def _move_to(self, status: Parcel.Status) -> None:
        Parcel.objects.filter(pk=get_context().parcel_id).update(status=status)
