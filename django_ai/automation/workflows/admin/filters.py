"""The filters of the list of runs, each served by an index or by a look at the newest runs alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from ..authoring.registry import registry
from ..machine.commands import WaitKind
from ..machine.statuses import FailureKind, WorkflowStatus
from ..models import WorkflowRun
from ..runtime.stuck import stuck
from . import bounds

Runs = QuerySet[WorkflowRun]


class StatusFilter(admin.SimpleListFilter):
    """Where the runs stand."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return WorkflowStatus.choices

    def queryset(self, request: HttpRequest, queryset: Runs) -> Runs:
        return queryset.filter(status=self.value()) if self.value() else queryset


class FailureFilter(admin.SimpleListFilter):
    """How runs failed."""

    title = "failed by"
    parameter_name = "failure"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(_FAILURES.items())

    def queryset(self, request: HttpRequest, queryset: Runs) -> Runs:
        if not self.value():
            return queryset
        return bounds.newest(request, queryset.filter(status=WorkflowStatus.FAILED, failure_kind=self.value()))


_FAILURES: dict[str, str] = {
    FailureKind.FAIL: "fail() of its workflow",
    FailureKind.EXCEPTION: "an exception",
    FailureKind.TIMEOUT: "the time-out of a wait",
}


class WorkflowFilter(admin.SimpleListFilter):
    """The workflows that the code has, and the one that is asked for."""

    title = "workflow"
    parameter_name = "workflow"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = {definition.name for definition in registry} | {request.GET.get(self.parameter_name, "")}
        return [(name, name) for name in sorted(names) if name]

    def queryset(self, request: HttpRequest, queryset: Runs) -> Runs:
        return queryset.filter(name=self.value()) if self.value() else queryset


class VersionFilter(admin.SimpleListFilter):
    """The versions of the workflow that is chosen."""

    title = "version"
    parameter_name = "version"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        chosen = {item.version for item in registry if item.name == request.GET.get("workflow")}
        versions = chosen | {request.GET.get(self.parameter_name, "")}
        return [(version, version) for version in sorted(versions) if version]

    def queryset(self, request: HttpRequest, queryset: Runs) -> Runs:
        return bounds.newest(request, queryset.filter(version=self.value())) if self.value() else queryset


class StepFilter(admin.SimpleListFilter):
    """The steps of the workflow that is chosen."""

    title = "step"
    parameter_name = "step"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        chosen = [item for item in registry if item.name == request.GET.get("workflow")]
        steps = dict.fromkeys(step for item in chosen for step in item.steps)
        return [(step, step) for step in {**steps, request.GET.get(self.parameter_name, ""): None} if step]

    def queryset(self, request: HttpRequest, queryset: Runs) -> Runs:
        return bounds.newest(request, queryset.filter(current_step=self.value())) if self.value() else queryset


class WaitFilter(admin.SimpleListFilter):
    """What kind of thing runs wait for."""

    title = "waiting for"
    parameter_name = "waits"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = {WaitKind.RETRY: "the next attempt", WaitKind.TIMER: "a time", WaitKind.EVENT: "an event"}
        return [(kind.value, names.get(kind, f"a {kind.value}")) for kind in WaitKind]

    def queryset(self, request: HttpRequest, queryset: Runs) -> Runs:
        return queryset.filter(suspension__kind=self.value()) if self.value() else queryset


class StuckFilter(admin.SimpleListFilter):
    """Runs that should have moved by now."""

    title = "stuck"
    parameter_name = "stuck"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Should have moved by now")]

    def queryset(self, request: HttpRequest, queryset: Runs) -> Runs:
        return queryset.filter(pk__in=stuck(queryset.db)) if self.value() else queryset


class StartedFilter(admin.SimpleListFilter):
    """When runs were started."""

    title = "started"
    parameter_name = "started"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, label) for key, (label, _) in _SPANS.items()]

    def queryset(self, request: HttpRequest, queryset: Runs) -> Runs:
        if self.value() not in _SPANS:
            return queryset
        _, span = _SPANS[str(self.value())]
        return bounds.started_between(queryset, *span(timezone.now()))


Span = tuple[datetime | None, datetime | None]


def _within(days: float) -> Callable[[datetime], Span]:
    return lambda now: (now - timedelta(days=days), None)


def _today(now: datetime) -> Span:
    return timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0), None


def _yesterday(now: datetime) -> Span:
    today = _today(now)[0]
    return (today - timedelta(days=1), today) if today else (None, None)


_SPANS: dict[str, tuple[str, Callable[[datetime], Span]]] = {
    "hour": ("In the past hour", _within(1 / 24)),
    "today": ("Today", _today),
    "yesterday": ("Yesterday", _yesterday),
    "week": ("In the past 7 days", _within(7)),
    "month": ("In the past 30 days", _within(30)),
    "older": ("More than 30 days ago", lambda now: (None, now - timedelta(days=30))),
}


class ReachFilter(admin.SimpleListFilter):
    """How far back filters look that no index serves; shown where that makes a difference."""

    title = "how far filters look back"
    parameter_name = bounds.REACH

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        many = bounds.estimated(WorkflowRun.objects.all()) > bounds.WINDOW
        return [("all", "All runs: may be slow")] if many or request.GET.get(bounds.REACH) else []

    def queryset(self, request: HttpRequest, queryset: Runs) -> Runs:
        return queryset

    def choices(self, changelist: Any) -> Iterator[Any]:
        first, *others = super().choices(changelist)
        yield {**first, "display": f"The newest {bounds.WINDOW:,} runs"}
        yield from others


FILTERS = (
    StatusFilter,
    FailureFilter,
    WorkflowFilter,
    VersionFilter,
    StepFilter,
    WaitFilter,
    StuckFilter,
    StartedFilter,
    ReachFilter,
)
