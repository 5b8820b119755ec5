"""The workflows that a person clicks through."""

from django.apps import AppConfig


class DeskConfig(AppConfig):
    name = "desk"
