"""Payments: charged by an outside gateway that is not always there."""

from django.apps import AppConfig


class PaymentConfig(AppConfig):
    name = "payment"
