"""Signs of life of what keeps the runs moving, as rows."""

from __future__ import annotations

from django.db import models


class Pulse(models.Model):
    """The last sign of life of one part: beat, the scheduler, or the workers of a queue."""

    name = models.CharField(max_length=220, primary_key=True)
    at = models.DateTimeField(null=True, blank=True, help_text="When it last gave a sign of life.")
    asked_at = models.DateTimeField(null=True, blank=True, help_text="Since when it owes an answer.")
    sent_at = models.DateTimeField(null=True, blank=True, help_text="When it was last asked.")
    lag = models.FloatField(null=True, blank=True, help_text="Seconds that the last question waited in the queue.")
    source = models.CharField(max_length=200, blank=True, help_text="The process that gave the sign: host and pid.")

    class Meta:
        verbose_name = "health"
        verbose_name_plural = "health"

    def __str__(self) -> str:
        return self.name
