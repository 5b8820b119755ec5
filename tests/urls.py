"""The addresses of the test project."""

from django.apps import apps
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    # The app's own forms, and below, where it is installed, the same forms served by StateZero.
    path("forms/", include("django_ai.automation.workflows.urls")),
    path("ops/", include("django_ai.automation.workflows.monitoring.urls")),
]

if apps.is_installed("statezero.adaptors.django"):
    urlpatterns += [
        path("statezero/", include("statezero.adaptors.django.urls", namespace="statezero")),
        path("statezero/", include("django_ai.automation.workflows.urls", namespace="beside_statezero")),
    ]
