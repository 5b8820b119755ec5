"""Parcels on their way to the customer."""

from django.apps import AppConfig


class ShipmentConfig(AppConfig):
    name = "shipment"
