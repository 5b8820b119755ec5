"""A parcel and where it is."""

from django.db import models


class Parcel(models.Model):
    class Status(models.TextChoices):
        PACKED = "packed"
        TRAVELLING = "travelling"
        DELIVERED = "delivered"

    reference = models.CharField(max_length=100, unique=True, help_text="What is in it.")
    recipient = models.CharField(max_length=100)
    status = models.CharField(max_length=10, choices=Status, default=Status.PACKED)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.tracking_code} to {self.recipient}"

    @property
    def tracking_code(self) -> str:
        return f"P{self.pk:06}"
