"""What an appointment's events start: a confirmation at once, a reminder a day before."""

from django.conf import settings
from django.core.mail import send_mail
from pydantic import BaseModel

from django_ai.automation.workflows.core import complete, event_workflow, get_context, step


class AppointmentContext(BaseModel):
    customer: str
    email: str

    @classmethod
    def of(cls, event):
        return cls(customer=event.entity.customer, email=event.entity.email)


@event_workflow("appointment_booked")
class AppointmentConfirmation:
    class Context(AppointmentContext):
        pass

    @classmethod
    def create_context(cls, event=None):
        return cls.Context.of(event)

    @step(start=True)
    def confirm(self):
        ctx = get_context()
        send_mail("Your appointment", f"We look forward to it, {ctx.customer}.", None, [ctx.email])
        return complete(display_title="Appointment confirmed")


@event_workflow("appointment_due", offset=-settings.SHOP_DAY)
class AppointmentReminder:
    class Context(AppointmentContext):
        pass

    @classmethod
    def create_context(cls, event=None):
        return cls.Context.of(event)

    @step(start=True)
    def remind(self):
        ctx = get_context()
        send_mail("Tomorrow", f"See you tomorrow, {ctx.customer}.", None, [ctx.email])
        return complete(display_title="Reminder sent", display_subtitle="a day before the appointment")
