"""Carts in the admin."""

from django.contrib import admin

from .models import Cart, Reminder


class ReminderInline(admin.TabularInline):
    model = Reminder
    extra = 0


@admin.register(Cart)
class CartAdmin(admin.ModelAdmin):
    list_display = ["email", "item", "bought", "closed"]
    inlines = [ReminderInline]
