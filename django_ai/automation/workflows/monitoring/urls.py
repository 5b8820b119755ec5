"""Addresses for probes and monitoring: ``path("ops/", include("django_ai.automation.workflows.monitoring.urls"))``."""

from django.urls import path

from .views import health_view, metrics_view

app_name = "django_ai_monitoring"

urlpatterns = [
    path("health/", health_view, name="health"),
    path("metrics/", metrics_view, name="metrics"),
]
