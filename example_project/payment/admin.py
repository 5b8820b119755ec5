"""Payments in the admin."""

from django.contrib import admin

from .models import GatewayCharge, Payment


@admin.register(Payment)
class PaymentAdmin(admin.ModelAdmin):
    list_display = ["reference", "amount", "receipt", "created_at"]
    search_fields = ["reference"]


@admin.register(GatewayCharge)
class GatewayChargeAdmin(admin.ModelAdmin):
    list_display = ["key", "amount", "requests", "receipt"]
