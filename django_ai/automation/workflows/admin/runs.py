"""The list of runs: badges, what each waits for, filters, search; quick with millions of them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ...parameters import CheckedParameters, check
from ..machine.statuses import CANCELLED
from ..masking import context_class_of, has_secrets
from ..models import WorkflowRun
from ..runtime import rows
from . import bounds, bulk, sentences
from .acting import Acting
from .badges import badge
from .filters import FILTERS
from .searching import HELP, search
from .times import moment, short

LONGEST_ERROR = 120
LONGEST_TITLE = 500


class RunList(ChangeList):
    """Reads what the list shows, and none of what may be large."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[WorkflowRun]:
        runs: QuerySet[WorkflowRun] = super().get_queryset(request, exclude_parameters)
        light = runs.defer("completion_display", *rows.LARGE).annotate(error_start=Left("error", LONGEST_TITLE))
        return light.prefetch_related("tags")


@admin.register(WorkflowRun)
class WorkflowRunAdmin(CheckedParameters, Acting):
    """Shows runs, and lets those who may move them."""

    list_display = ("run", "state", "step", "news", "age")
    list_display_links = ("run",)
    list_filter = FILTERS
    list_select_related = ("suspension",)
    list_per_page = 50
    list_fullwidth = True  # of django-unfold
    search_fields = ("pk",)  # what shows the search's field; get_search_results does it
    search_help_text = HELP
    ordering = ("-pk",)
    sortable_by = ()  # by any other column all runs would have to be sorted
    paginator = bounds.CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each would count all runs
    actions = bulk.ACTIONS
    change_list_template = "admin/django_ai_workflows/run_list.html"

    class Media:
        css = {"all": ["django_ai/workflows/admin.css"]}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return RunList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[WorkflowRun], search_term: str
    ) -> tuple[QuerySet[WorkflowRun], bool]:
        return search(request, queryset, search_term), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, with the counts of each status above it."""
        check(request.GET)
        every = self.get_queryset(request)
        chosen = request.GET.get("status")
        counts = [(status, count, status == chosen) for status, count in bounds.counts_by_status(every)]
        shown = {
            "title": "Workflow runs",
            "counts": counts,
            "cap": bounds.CAP,
            "window": bounds.CONTEXT_WINDOW,
            **(extra_context or {}),
        }
        response: HttpResponse = super().changelist_view(request, shown)
        return response

    @admin.display(description="run")
    def run(self, run: WorkflowRun) -> SafeString:
        """The workflow, its version where it has several, and the run's number."""
        version = format_html(' <span class="wf-quiet">v{}</span>', run.version) if run.version != "1" else ""
        tags = format_html_join("", ' <span class="wf-tag">{}</span>', ((tag.name,) for tag in run.tags.all()))
        return format_html("{}{} <span class='wf-quiet'>#{}</span>{}", run.name, version, run.pk, tags)

    @admin.display(description="status")
    def state(self, run: WorkflowRun) -> SafeString:
        """The status as a badge, and how far the run is."""
        bar = format_html('<progress class="wf-progress" max="1" value="{}">{}</progress>', run.progress, run.progress)
        return format_html("{}{}", badge(run.status, run.failure_kind), bar if run.progress else "")

    @admin.display(description="step")
    def step(self, run: WorkflowRun) -> SafeString:
        """Where it is, and which attempt of how many where not all went well."""
        attempts = sentences.attempts(run)
        again = format_html(' <span class="wf-quiet">attempt {}</span>', attempts) if attempts else ""
        return format_html('<code class="wf-step">{}</code>{}', run.current_step, again)

    @admin.display(description="waits for, or went wrong", empty_value="")
    def news(self, run: WorkflowRun) -> SafeString | str:
        """What it waits for and until when, or the first line of what went wrong."""
        waiting = sentences.waiting(run, timezone.now())
        fault = _fault(run)
        return format_html("{}{}{}", waiting, " · " if waiting and fault else "", fault)

    @admin.display(description="age")
    def age(self, run: WorkflowRun) -> SafeString:
        """How long ago it was started."""
        now = timezone.now()
        return format_html('<span title="{}">{}</span>', moment(run.created_at, now), short(now - run.created_at))


def _fault(run: Any) -> SafeString | str:
    first: str = run.error_start.strip().partition("\n")[0]
    if not first or run.status == CANCELLED:
        return first
    if has_secrets(context_class_of(run.name, run.version)):
        first = first.partition(":")[0]  # the run's page has more, cleared of the secrets
    cut = first if len(first) <= LONGEST_ERROR else f"{first[:LONGEST_ERROR]}…"
    return format_html('<span class="wf-error" title="{}">{}</span>', first, cut)
