"""The addresses that the pages speak of."""

from django.urls import include, path

urlpatterns = [path("statezero/", include("django_ai.automation.workflows.urls"))]
