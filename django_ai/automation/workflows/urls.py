"""The addresses of forms and runs, for ``path("statezero/", include("django_ai.automation.workflows.urls"))``."""

from django.urls import path

from .http.views import action_view, form_view, run_view

app_name = "django_ai_workflows"

urlpatterns = [
    path("actions/<str:name>/", action_view, name="action"),
    path("runs/<int:run_id>/", run_view, name="run"),
    path("runs/<int:run_id>/form/", form_view, name="form"),
]
