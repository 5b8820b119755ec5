"""An appointment, and the events that it declares."""

from django.db import models

from django_ai.automation.events import EventDefinition


class Appointment(models.Model):
    customer = models.CharField(max_length=100)
    email = models.EmailField()
    at = models.DateTimeField()
    cancelled = models.BooleanField(default=False)

    events = [
        EventDefinition("appointment_booked"),
        EventDefinition("appointment_due", date_field="at", condition=lambda appointment: not appointment.cancelled),
    ]

    def __str__(self) -> str:
        return f"{self.customer}, {self.at:%d.%m. %H:%M}"
