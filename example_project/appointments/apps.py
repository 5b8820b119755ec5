"""Fittings at a customer's home."""

from django.apps import AppConfig


class AppointmentsConfig(AppConfig):
    name = "appointments"
