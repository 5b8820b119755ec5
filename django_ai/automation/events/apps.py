"""The events app: watches the models that declare events and joins Celery's beat."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class EventsConfig(AppConfig):
    """Connects the models of the project and loads the `event_handlers` modules of its apps."""

    name = "django_ai.automation.events"
    label = "django_ai_events"
    verbose_name = "Events"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from .. import broker, conf, documentation
        from . import checks, receivers, schedule

        for check in (conf.check_settings, broker.check_celery, checks.check_definitions, checks.check_subscriptions):
            documentation.register_check(check)
        receivers.connect()
        autodiscover_modules("event_handlers")
        schedule.install()
