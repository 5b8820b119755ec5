"""A cart that was left behind, and the reminders that were sent for it."""

from django.db import models


class Cart(models.Model):
    email = models.EmailField()
    item = models.CharField(max_length=100)
    bought = models.BooleanField(default=False)
    closed = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.item} of {self.email}"


class Reminder(models.Model):
    cart = models.ForeignKey(Cart, on_delete=models.CASCADE, related_name="reminders")
    number = models.PositiveIntegerField()
    sent_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cart", "number"], name="reminder_once")]

    def __str__(self) -> str:
        return f"Reminder {self.number} for {self.cart}"
