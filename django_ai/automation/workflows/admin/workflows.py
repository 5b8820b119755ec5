"""The workflows that the code declares: their graphs, what their runs do now and have done lately."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.safestring import mark_safe

from ..authoring.reading import read_graph
from ..authoring.registry import registry
from ..drawing.svg import draw
from ..machine.definition import WorkflowDefinition
from ..machine.statuses import FAILED, RUNNING, SUSPENDED
from ..models import Workflow
from ..permissions import visible_to
from .permissions import RunPermissions, may_see
from .statistics import SPAN, Figures, Lately, Spread, figures
from .times import compact, duration


@dataclass(frozen=True, slots=True)
class Line:
    """A workflow in the list; ``counts`` are (status, how many runs, where they are listed)."""

    name: str
    versions: list[str]
    trigger: str
    steps: int
    counts: list[tuple[str, str, str]]
    lately: Lately
    address: str


@dataclass(frozen=True, slots=True)
class StepLine:
    """A step on its workflow's page."""

    name: str
    lately: Spread | None
    waiting: int
    oldest: str
    wait: Spread | None


@admin.register(Workflow)
class WorkflowAdmin(RunPermissions):
    """Shows workflows to all who may see runs."""

    class Media:
        css = {"all": ["django_ai/workflows/admin.css"]}

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_see(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_see(request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """List the workflows."""
        self._check(request)
        now = timezone.now()
        found = figures(now, self.get_queryset(request).db, partial(visible_to, request))
        context = {
            **self._context(request, "Workflows"),
            "lines": list(_lines(found)),
            "span": "hour" if found.span == SPAN else duration(found.span),
            "waits": [(*key, spread) for key, spread in list(found.waits.items())[:10]],
            "waiting": _oldest(found, now)[:10],
        }
        return TemplateResponse(request, "admin/django_ai_workflows/workflow_list.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show one workflow."""
        self._check(request)
        name, now = unquote(object_id), timezone.now()
        definition = registry.get(name, request.GET.get("version") or None)
        if definition is None or definition.name != name:
            raise Http404(f"There is no workflow {name!r}.")
        found = figures(now, self.get_queryset(request).db, partial(visible_to, request))
        graph = draw(read_graph(definition))
        context = {
            **self._context(request, name),
            "definition": definition,
            "path": f"{definition.cls.__module__}.{definition.cls.__qualname__}",
            "doc": (definition.cls.__doc__ or "").strip(),
            "line": _line(name, found),
            "graph": mark_safe(graph),  # noqa: S308 - drawn of escaped parts
            "steps": list(_steps(definition, found, now)),
            "span": "hour" if found.span == SPAN else duration(found.span),
        }
        return TemplateResponse(request, "admin/django_ai_workflows/workflow.html", context)

    def _check(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _context(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "title": title, "opts": self.opts, "media": self.media}


def address_of(name: str) -> str:
    """Return the address of a workflow's page."""
    return reverse("admin:django_ai_workflows_workflow_change", args=[quote(name)])


def _lines(found: Figures) -> Iterator[Line]:
    for name in sorted({definition.name for definition in registry}):
        yield _line(name, found)


def _line(name: str, found: Figures) -> Line:
    definition = registry.find(name)
    runs = reverse("admin:django_ai_workflows_workflowrun_changelist")
    counts = []
    for status in (RUNNING, SUSPENDED, FAILED):
        count = found.active.get(name, {}).get(status, 0)
        more = "+" if status in found.capped and count else ""
        counts.append((str(status), f"{count:,}{more}", f"{runs}?{urlencode({'workflow': name, 'status': status})}"))
    return Line(
        name=name,
        versions=[item.version for item in registry if item.name == name],
        trigger=definition.trigger.event if definition.trigger else "",
        steps=len(definition.steps),
        counts=counts,
        lately=found.lately.get(name, Lately()),
        address=address_of(name),
    )


def _steps(definition: WorkflowDefinition, found: Figures, now: datetime) -> Iterator[StepLine]:
    lately = found.lately.get(definition.name, Lately())
    for name in definition.steps:
        here = [item for (of, step, _), item in found.waiting.items() if (of, step) == (definition.name, name)]
        waited = [item for (of, step, _), item in found.waits.items() if (of, step) == (definition.name, name)]
        yield StepLine(
            name=name,
            lately=lately.steps.get(name),
            waiting=sum(count for count, _ in here),
            oldest=compact(now - min(since for _, since in here)) if here else "",
            wait=max(waited, key=lambda spread: spread.count, default=None),
        )


def _oldest(found: Figures, now: datetime) -> list[tuple[str, str, str, int, str]]:
    """Return what runs wait for now, the longest wait first."""
    ordered = sorted(found.waiting.items(), key=lambda item: item[1][1])
    return [(*key, count, compact(now - since)) for key, (count, since) in ordered]
