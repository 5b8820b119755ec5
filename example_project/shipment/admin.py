"""Parcels in the admin."""

from django.contrib import admin

from .models import Parcel


@admin.register(Parcel)
class ParcelAdmin(admin.ModelAdmin):
    list_display = ["tracking_code", "reference", "recipient", "status"]
    list_filter = ["status"]
