"""Carts that were left behind."""

from django.apps import AppConfig


class RemindersConfig(AppConfig):
    name = "reminders"
