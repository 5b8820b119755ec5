"""Orders and products in the admin."""

from django.contrib import admin

from .models import Order, Product


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ["name", "price", "stock"]


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["__str__", "product", "quantity", "status", "created_at"]
    list_filter = ["status"]
    raw_id_fields = ["run"]
