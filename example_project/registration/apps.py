"""Customers who register, with an e-mail address that is verified."""

from django.apps import AppConfig


class RegistrationConfig(AppConfig):
    name = "registration"
