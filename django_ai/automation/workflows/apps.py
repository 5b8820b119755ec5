"""The workflows app: loads the project's workflows and joins Celery's beat."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class WorkflowsConfig(AppConfig):
    """Registers what the project declares in the ``workflows`` modules of its apps."""

    name = "django_ai.automation.workflows"
    label = "django_ai_workflows"
    verbose_name = "Workflows"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, receivers, schedule  # noqa: F401
        from .http import checks as form_checks  # noqa: F401
        from .monitoring import checks as monitoring_checks  # noqa: F401
        from .monitoring import listening
        from .permissions import visible_to
        from .runtime import triggers
        from .statezero_action import offer_early_actions

        autodiscover_modules("workflows")
        triggers.connect(visible_to)
        offer_early_actions()
        schedule.install()
        listening.install()
