"""What the shop sells, and what was ordered."""

from decimal import Decimal

from django.db import models
from django.db.models import F

from django_ai.automation.workflows.models import WorkflowRun
from payment.gateway import CARDS


class Product(models.Model):
    name = models.CharField(max_length=100, unique=True)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    stock = models.IntegerField()

    class Meta:
        ordering = ["price"]
        constraints = [models.CheckConstraint(condition=models.Q(stock__gte=0), name="product_stock")]

    def __str__(self) -> str:
        return f"{self.name} ({self.price} €)"

    @classmethod
    def take(cls, product_id: int, quantity: int) -> bool:
        """Take from the stock, if there is enough."""
        enough = cls.objects.filter(pk=product_id, stock__gte=quantity)
        return bool(enough.update(stock=F("stock") - quantity))

    @classmethod
    def put_back(cls, product_id: int, quantity: int) -> None:
        """Return to the stock what was taken."""
        cls.objects.filter(pk=product_id).update(stock=F("stock") + quantity)


class Order(models.Model):
    class Status(models.TextChoices):
        PLACED = "placed"
        PAID = "paid"
        DELIVERED = "delivered"
        CANCELLED = "cancelled"

    customer = models.CharField(max_length=100)
    product = models.ForeignKey(Product, on_delete=models.PROTECT)
    quantity = models.PositiveIntegerField(default=1)
    card = models.CharField(max_length=20, choices=CARDS)
    status = models.CharField(max_length=10, choices=Status, default=Status.PLACED)
    run = models.OneToOneField(WorkflowRun, null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"Order {self.pk} of {self.customer}"

    @property
    def total(self) -> Decimal:
        return self.product.price * self.quantity
