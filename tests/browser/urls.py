"""A page that holds nothing but a run, under a strict content security policy."""

from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import include, path

PAGE = """{% load workflows %}<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>A run</title>
</head>
<body><main><h1>My place</h1>{% workflow_run run_id %}</main></body>
</html>"""


def page(request: HttpRequest, run_id: int) -> HttpResponse:
    html = engines["django"].from_string(PAGE).render({"run_id": run_id}, request)
    policy = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'"
    return HttpResponse(html, headers={"Content-Security-Policy": policy})


urlpatterns = [
    path("page/<int:run_id>/", page),
    path("statezero/", include("django_ai.automation.workflows.urls")),
]
