"""What was paid."""

from django.db import models


class Payment(models.Model):
    reference = models.CharField(max_length=100, unique=True, help_text="What is paid for.")
    amount = models.DecimalField(max_digits=10, decimal_places=2)
    receipt = models.CharField(max_length=100)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.reference}: {self.amount}"


class GatewayCharge(models.Model):
    """The books of the pretended gateway, which are not the shop's."""

    key = models.CharField(max_length=100, unique=True)
    amount = models.DecimalField(max_digits=10, decimal_places=2)
    requests = models.PositiveIntegerField(default=0)
    receipt = models.CharField(max_length=100, blank=True)

    def __str__(self) -> str:
        return self.key
