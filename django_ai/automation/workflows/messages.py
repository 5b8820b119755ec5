"""The inbox of a run as rows: messages to the run, with their states."""

from __future__ import annotations

from uuid import uuid4

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from ..conf import require_app
from ..fields import ExactCharField

require_app("django_ai.automation.workflows")


class SignalState(models.TextChoices):
    """The state of an inbox message."""

    PENDING = "pending"
    DELIVERED = "delivered"
    MISSED = "missed"
    REJECTED = "rejected"


class SignalKind(models.TextChoices):
    """Who sent it: a caller, an event, a child that ended, a parent that gives up its child, an editor."""

    SIGNAL = "signal"
    EVENT = "event"
    CHILD = "child"
    CANCEL = "cancel"
    EDIT = "edit"


class Signal(models.Model):
    """A message to one run: its durable inbox.

    A signal with a ``sequence`` is meant for the wait of that number and is missed when the run has
    moved on; one without is kept until the run waits for its name, and has the wait's number when it
    is delivered. Sending is an INSERT and locks nothing; only the delivery locks the run.
    """

    # Without a constraint an insert locks nothing: MariaDB would have each sender wait for a share of
    # the run's row, and a parent and a child that write to one another would deadlock.
    # The index of the inbox begins with it.
    run = models.ForeignKey(
        "WorkflowRun", on_delete=models.CASCADE, related_name="signals", db_constraint=False, db_index=False
    )
    kind = models.CharField(max_length=10, choices=SignalKind.choices)
    name = ExactCharField(max_length=200, blank=True)
    payload = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    sequence = models.PositiveIntegerField(null=True, blank=True)
    run_sequence = models.PositiveIntegerField(
        null=True, blank=True, help_text="The run's number when a signal without a sequence was sent."
    )
    state = models.CharField(max_length=10, choices=SignalState.choices, default=SignalState.PENDING)
    changes = models.JSONField(default=dict, blank=True, help_text="What it changed: {field: [before, after]}.")
    error = models.TextField(blank=True)
    created_at = models.DateTimeField()
    dispatched_at = models.DateTimeField(
        null=True, blank=True, help_text="When a worker was last asked to deliver it; empty when that is settled."
    )

    class Meta:
        ordering = ["id"]
        indexes = [
            # The only one with the state: while what PostgreSQL knows of the table is from before a burst, it would
            # take another for as good and read all that is pending.
            models.Index(fields=["run", "state"], name="workflow_signal_inbox"),
            models.Index(fields=["dispatched_at"], name="workflow_signal_dispatched"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name} to run {self.run_id}"


class SignalKey(models.Model):
    """The idempotency key of a signal to a run: of all signals with this key the run gets one.

    A table of its own, since few signals have a key and an index over all of them would be written for each.
    The sender makes the primary key, and so finds out which of the rows that it inserted were the first.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    # Without a constraint, as for Signal.
    run = models.ForeignKey(
        "WorkflowRun", on_delete=models.CASCADE, related_name="signal_keys", db_constraint=False, db_index=False
    )
    key = ExactCharField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "key"], name="workflow_signal_once_per_key")]

    def __str__(self) -> str:
        return f"{self.key} to run {self.run_id}"
