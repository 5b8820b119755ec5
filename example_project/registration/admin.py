"""Accounts in the admin."""

from django.contrib import admin

from .models import Account


@admin.register(Account)
class AccountAdmin(admin.ModelAdmin):
    list_display = ["email", "name", "verified", "created_at"]
    list_filter = ["verified"]
