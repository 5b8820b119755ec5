"""Models of the suite; they have no migrations, so a new one needs nothing but its class."""
# ruff: noqa: DJ008

import uuid

from django.db import models

from django_ai.automation.events import EventDefinition


class Note(models.Model):
    """Declares no events, but has an attribute of that name as many a model has."""

    text = models.CharField(max_length=50, blank=True)


class NoteEvent(models.Model):
    """Gives Note its attribute `events`."""

    note = models.ForeignKey(Note, on_delete=models.CASCADE, related_name="events")


class Order(models.Model):
    """Declares immediate events."""

    number = models.CharField(max_length=20, blank=True)
    status = models.CharField(max_length=20, default="new")

    events = [
        EventDefinition("order_placed"),
        EventDefinition("order_paid", condition=lambda order: order.status == "paid"),
    ]


class Appointment(models.Model):
    """Declares an event at a date."""

    title = models.CharField(max_length=50, blank=True)
    at = models.DateTimeField(null=True)
    cancelled = models.BooleanField(default=False)

    events = [
        EventDefinition("appointment_due", date_field="at", condition=lambda appointment: not appointment.cancelled)
    ]


class Invoice(models.Model):
    """Declares an event at a date without a time."""

    due_on = models.DateField(null=True)

    events = [EventDefinition("invoice_due", date_field="due_on")]


class Ticket(models.Model):
    """Has a UUID as its key; tests declare what it needs."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    subject = models.CharField(max_length=50, blank=True)
    priority = models.IntegerField(default=0)

    events = [EventDefinition("ticket_changed", watch=["subject", "priority"])]


class Country(models.Model):
    """Has a text as its key."""

    code = models.CharField(max_length=250, primary_key=True)

    events = [EventDefinition("country_saved", on=["create", "update", "delete"])]


class Visit(Appointment):
    """A child with a table of its own."""

    place = models.CharField(max_length=50, blank=True)


class Consultation(Appointment):
    """A proxy."""

    class Meta:
        proxy = True


class Receipt(models.Model):
    """Keeps the run that wrote it."""

    # The tables of this app, which has no migrations, are made before those of the runs.
    run = models.ForeignKey("django_ai_workflows.WorkflowRun", on_delete=models.PROTECT, db_constraint=False)
