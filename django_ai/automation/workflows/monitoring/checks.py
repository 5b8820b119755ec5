"""System checks: what is switched on can be done."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error

from ...conf import settings
from ...documentation import register_check


def check_metrics(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Report metrics that are switched on while nothing is installed that counts."""
    if not settings.METRICS or find_spec("prometheus_client"):
        return []
    return [
        Error(
            "DJANGO_AI['METRICS'] is True, but prometheus_client is not installed.",
            hint='Install "django-ai[prometheus]", or leave METRICS out.',
            id="django_ai.E061",
        )
    ]


register_check(check_metrics)
