"""The page of one run, and the pages that ask before something is done to it."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Max, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone

from ...storable import number_in
from ..exceptions import WorkflowError
from ..machine.commands import WaitKind
from ..machine.statuses import FINAL
from ..models import WorkflowRun
from ..permissions import may_act_on, visible_to
from ..runtime import rows
from . import bulk, links, run_page
from .permissions import RunPermissions
from .verbs import VERBS, Verb


class Acting(RunPermissions):
    """Has a page for each run in place of Django's form, and one for each thing that can be done to it."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("bulk/<str:verb>/", view(self.bulk_view), name="django_ai_workflows_workflowrun_bulk"),
            path("<path:object_id>/live/", view(self.live_view), name="django_ai_workflows_workflowrun_live"),
            path("<path:object_id>/do/<str:verb>/", view(self.act_view), name="django_ai_workflows_workflowrun_act"),
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the run."""
        if request.method != "GET":
            raise PermissionDenied  # there is no form: what can be done has pages of its own
        run = self._run(request, object_id)
        context = {**self._page(request, run), **(extra_context or {})}
        return TemplateResponse(request, "admin/django_ai_workflows/run.html", context)

    def live_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer with the parts of the page that move, or with 304 as long as nothing has."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        run = self._find(object_id, self.get_queryset(request).defer(*rows.LARGE))
        headers = {"ETag": self._etag(run), "Cache-Control": "private, no-cache"}
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return HttpResponse(status=304, headers=headers)
        context = self._page(request, self._run(request, object_id))
        return TemplateResponse(request, "admin/django_ai_workflows/run_body.html", context, headers=headers)

    def act_view(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponse:
        """Ask before something is done to a run, and do it."""
        run, asked = self._run(request, object_id), _verb(verb)
        if not self.may(request, asked):
            raise PermissionDenied
        if not asked.applies(run):
            message = f"{run} is {run.status} now: {asked.label.rstrip('…').lower()} no longer applies."
            return self._back(request, run, message, messages.WARNING)
        data = request.POST if request.method == "POST" else None
        form = asked.form(data, run=run, initial=asked.form.from_link(request.GET))
        if data is not None and form.is_valid():
            try:
                return self._do(request, run, asked, form)
            except WorkflowError as error:
                form.add_error(None, str(error))
        return self._ask(request, run, asked, form)

    def bulk_view(self, request: HttpRequest, verb: str) -> HttpResponse:
        """Do something to the next of many runs."""
        asked = _verb(verb)
        if request.method != "POST" or asked.many is None or not self.may(request, asked):
            raise PermissionDenied
        return bulk.go_on(self, request, asked)

    def _do(self, request: HttpRequest, run: WorkflowRun, verb: Verb, form: Any) -> HttpResponse:
        with rows.transaction_of_runs():
            reached, said = verb.act(run, form)
            self.log_change(request, run, said)
        where = reached if self.has_view_permission(request, reached) else run
        return self._back(request, where, said, messages.SUCCESS)

    def _ask(self, request: HttpRequest, run: WorkflowRun, verb: Verb, form: Any) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": verb.label.rstrip("…"),
            "subtitle": str(run),
            "opts": self.opts,
            "media": self.media + form.media,
            "question": verb.question.format(run=run),
            "verb": verb,
            "run": run,
            "form": form,
            "back": links.of_run(run.pk),
        }
        return TemplateResponse(request, "admin/django_ai_workflows/ask.html", context)

    def _back(self, request: HttpRequest, run: WorkflowRun, message: str, level: int) -> HttpResponse:
        self.message_user(request, message, level)
        return HttpResponseRedirect(links.of_run(run.pk))

    def _run(self, request: HttpRequest, object_id: str) -> WorkflowRun:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self._find(object_id, self.get_queryset(request).select_related("suspension"))

    def _find(self, object_id: str, runs: QuerySet[WorkflowRun]) -> WorkflowRun:
        number = number_in(unquote(object_id))
        run: WorkflowRun | None = None if number is None else runs.filter(pk=number).first()
        if run is None:
            raise Http404(f"There is no workflow run #{object_id}.")
        return run

    def _page(self, request: HttpRequest, run: WorkflowRun) -> dict[str, Any]:
        allowed = self.allowed_verbs(request, run)
        return {
            **self.admin_site.each_context(request),
            **run_page.collect(run, timezone.now(), partial(visible_to, request), request.GET),
            "title": str(run),
            "subtitle": None,
            "opts": self.opts,
            "media": self.media,
            "original": run,
            "object_id": run.pk,
            "buttons": [verb for verb in allowed if verb.has_button],
            "may_restart": VERBS["restart"] in allowed,
            "form_endpoint": self._form_endpoint(request, run),
            "is_final": run.status in FINAL,
            "etag": self._etag(run),
            "query": f"?{request.GET.urlencode()}" if request.GET else "",
            "has_view_permission": True,
        }

    def _form_endpoint(self, request: HttpRequest, run: WorkflowRun) -> str:
        """Return where the form that the run waits for is served, or an empty text where it is not for this user."""
        wait = run.waits_for
        if wait is None or wait.kind != WaitKind.FORM or not self.has_change_permission(request):
            return ""
        if not may_act_on(request, run):
            return ""
        try:
            return reverse("django_ai_workflows:run", args=[run.pk]).removesuffix(f"runs/{run.pk}/")
        except NoReverseMatch:
            return ""

    def _etag(self, run: WorkflowRun) -> str:
        last = run.signals.aggregate(last=Max("pk"))["last"] or 0
        state = (run.sequence, run.attempt, run.status, run.updated_at.timestamp(), bool(run.lease_until), last)
        return f'"{"-".join(map(str, state))}"'


def _verb(name: str) -> Verb:
    if name not in VERBS:
        raise Http404(f"There is no such thing to do as {name!r}.")
    return VERBS[name]
