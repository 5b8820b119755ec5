"""Orders, from the click to the delivery."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"
