"""The ledger that every step writes into, and what events are about."""
# ruff: noqa: DJ008

from django.db import models
from django.db.models.functions import Now

from django_ai.automation.events import EventDefinition


class Entry(models.Model):
    """A visit of a step left this: exactly one if the step is atomic, else one or more."""

    visit = models.CharField(max_length=250, db_index=True, help_text="The step's idempotency key: name:run:sequence.")
    step = models.CharField(max_length=50)
    atomic = models.BooleanField(default=True)
    note = models.CharField(max_length=100, blank=True)
    at = models.DateTimeField(db_default=Now())


class Order(models.Model):
    """Somebody pays for it, by which an event occurs."""

    paid = models.BooleanField(default=False)

    events = [EventDefinition("chaos_paid", condition=lambda order: order.paid)]
