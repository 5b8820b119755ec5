"""What an appointment's events start: a confirmation at once, a reminder a day before."""

from typing import Self

from django.conf import settings
from django.core.mail import send_mail
from pydantic import BaseModel

from django_ai.automation.events.models import Event
from django_ai.automation.workflows.core import Command, complete, event_workflow, get_context, step

from .models import Appointment


class AppointmentContext(BaseModel):
    customer: str
    email: str

    @classmethod
    def of(cls, event: Event) -> Self:
        appointment = event.entity
        assert isinstance(appointment, Appointment)
        return cls(customer=appointment.customer, email=appointment.email)


@event_workflow("appointment_booked")
class AppointmentConfirmation:
    class Context(AppointmentContext):
        pass

    @classmethod
    def create_context(cls, event: Event) -> Context:
        return cls.Context.of(event)

    @step(start=True)
    def confirm(self) -> Command:
        ctx = get_context()
        send_mail("Your appointment", f"We look forward to it, {ctx.customer}.", None, [ctx.email])
        return complete(display_title="Appointment confirmed")


@event_workflow("appointment_due", offset=-settings.SHOP_DAY)
class AppointmentReminder:
    class Context(AppointmentContext):
        pass

    @classmethod
    def create_context(cls, event: Event) -> Context:
        return cls.Context.of(event)

    @step(start=True)
    def remind(self) -> Command:
        ctx = get_context()
        send_mail("Tomorrow", f"See you tomorrow, {ctx.customer}.", None, [ctx.email])
        return complete(display_title="Reminder sent", display_subtitle="a day before the appointment")
