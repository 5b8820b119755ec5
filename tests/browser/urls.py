"""A page that holds nothing but a run, under a strict content security policy."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template import engines
from django.urls import include, path
from django.views.static import serve

PAGE = """{% load workflows %}<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>A run</title>
</head>
<body><main><h1>My place</h1>{% workflow_run run_id %}</main></body>
</html>"""


# A front end that has a module of its own, and knows the element's file by its plain name only.
OWN_MODULE = """
import { registerComponent, texts } from "/files/django_ai/workflows/workflow-run.js";

texts.submit = "Hand in";
registerComponent("Stars", (field) => {
  const input = document.createElement("input");
  Object.assign(input, { id: field.id, type: "range", max: field.filter_queryset.most, value: 4 });
  return input;
});
"""


def page(request: HttpRequest, run_id: int) -> HttpResponse:
    module = '<script type="module" src="/own.js"></script>' if "own" in request.GET else ""
    html = engines["django"].from_string(PAGE).render({"run_id": run_id}, request)
    html = html.replace("</head>", f"{module}</head>")
    policy = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'"
    return HttpResponse(html, headers={"Content-Security-Policy": policy})


def own_module(request: HttpRequest) -> HttpResponse:
    return HttpResponse(OWN_MODULE, content_type="text/javascript")


def collected(request: HttpRequest, path: str) -> HttpResponseBase:
    return serve(request, path, document_root=settings.STATIC_ROOT)


urlpatterns = [
    path("page/<int:run_id>/", page),
    path("own.js", own_module),
    path("files/<path:path>", collected),
    path("statezero/", include("django_ai.automation.workflows.urls")),
]
