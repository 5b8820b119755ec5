"""What is done to many runs at once: in batches, each a request of its own, with the progress shown between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import BadRequest, ValidationError
from django.db.models import Max, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse

from ...parameters import check
from ...storable import LARGEST_NUMBER, number_in
from ..exceptions import WorkflowError
from ..models import WorkflowRun
from ..runtime import rows
from . import bounds
from .verbs import VERBS, Verb

# One request does at most so many, and takes at most about so long, in seconds.
BATCH = 200
SECONDS = 3.0


def _check_ids(text: str) -> None:
    parts = text.split(",")
    if len(parts) > bounds.CAP or any(number_in(part) is None for part in parts if part):
        raise ValidationError("These are no numbers of runs.")


class _Number(forms.IntegerField):
    """A number that goes back and forth with the page."""

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=0, max_value=LARGEST_NUMBER, widget=forms.HiddenInput, **options)


class BulkForm(forms.Form):
    """Where a bulk action stands; it goes back and forth with the page."""

    ids = forms.CharField(required=False, validators=[_check_ids], widget=forms.HiddenInput)
    query = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)
    below = _Number()
    done = _Number(initial=0)
    refused = _Number(initial=0)
    total = forms.CharField(max_length=30, widget=forms.HiddenInput)
    reason = forms.CharField(max_length=500, required=False, widget=forms.HiddenInput)


class AskingForm(BulkForm):
    """Asks for the reason too."""

    reason = forms.CharField(max_length=500, required=False, help_text="Kept with each run.")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a bulk action is: the runs below this number are left."""

    below: int
    done: int
    refused: int
    fault: str = ""


def _action(verb: Verb) -> Callable[..., Any]:
    @admin.action(description=f"{verb.label.rstrip('…')} selected runs", permissions=[verb.permission])
    def start(model_admin: Any, request: HttpRequest, queryset: QuerySet[WorkflowRun]) -> HttpResponse:
        return ask(model_admin, request, verb, queryset)

    start.__name__ = f"{verb.name}_selected"
    return start


ACTIONS = tuple(_action(verb) for verb in VERBS.values() if verb.many is not None)


def ask(model_admin: Any, request: HttpRequest, verb: Verb, chosen: QuerySet[WorkflowRun]) -> HttpResponse:
    """Ask before anything is done, and say to how many."""
    of_filter = request.POST.get("select_across") == "1"
    last = WorkflowRun.objects.using(chosen.db).aggregate(last=Max("pk"))["last"] or 0
    total = bounds.counted(chosen.filter(verb.many))
    initial = {
        "ids": "" if of_filter else ",".join(request.POST.getlist("_selected_action")),
        "query": request.GET.urlencode() if of_filter else "",
        "below": last + 1,
        "total": total,
    }
    form = (AskingForm if verb.name == "cancel" else BulkForm)(initial=initial)
    others = "" if of_filter else _others(chosen.count() - chosen.filter(verb.many).count(), verb)
    return _page(model_admin, request, verb, form, asks=True, others=others)


def _others(count: int, verb: Verb) -> str:
    return f"{count} of the selected runs cannot be {verb.done} as they are now and stay as they are." if count else ""


def go_on(model_admin: Any, request: HttpRequest, verb: Verb) -> HttpResponse:
    """Do one batch; show how far it is, or go back to the list when all is done."""
    state = BulkForm(request.POST)
    if not state.is_valid():
        model_admin.message_user(request, "That could not be read; nothing more was done.", messages.ERROR)
        return _to_list("")
    given = state.cleaned_data
    progress = Progress(given["below"], given["done"], given["refused"])
    try:
        chosen = _chosen(model_admin, request, given).filter(verb.many)
    except IncorrectLookupParameters as error:
        raise BadRequest("The list has no such page or filter.") from error
    progress, is_over = _batch(request, verb, chosen, progress, given["reason"])
    if is_over:
        _tell(model_admin, request, verb, progress)
        return _to_list(given["query"])
    shown = {**given, "below": progress.below, "done": progress.done, "refused": progress.refused}
    return _page(model_admin, request, verb, BulkForm(initial=shown), asks=False, others=progress.fault)


def _chosen(model_admin: Any, request: HttpRequest, given: dict[str, Any]) -> QuerySet[WorkflowRun]:
    """Return the runs that were selected, one by one or by the list's filters."""
    if given["ids"]:
        runs: QuerySet[WorkflowRun] = model_admin.get_queryset(request)
        return runs.filter(pk__in=[int(part) for part in given["ids"].split(",") if part])
    request.GET = QueryDict(given["query"])
    check(request.GET)
    found: QuerySet[WorkflowRun] = model_admin.get_changelist_instance(request).get_queryset(request)
    return found


def _batch(
    request: HttpRequest, verb: Verb, chosen: QuerySet[WorkflowRun], progress: Progress, reason: str
) -> tuple[Progress, bool]:
    until = monotonic() + SECONDS
    ids = list(chosen.filter(pk__lt=progress.below).order_by("-pk").values_list("pk", flat=True)[:BATCH])
    form = _Reason(reason)
    for index, run_id in enumerate(ids):
        progress = _one(request, verb, run_id, form, replace(progress, below=run_id))
        if monotonic() > until and index + 1 < len(ids):
            return progress, False
    return progress, len(ids) < BATCH


class _Reason:
    """What a verb asks its form for."""

    def __init__(self, reason: str) -> None:
        self.cleaned_data = {"reason": reason}


def _one(request: HttpRequest, verb: Verb, run_id: int, form: Any, progress: Progress) -> Progress:
    try:
        with rows.transaction_of_runs():
            run = WorkflowRun.objects.using(rows.alias()).select_related("suspension").get(pk=run_id)
            _, said = verb.act(run, form)
            _log(request, run, said)
    except (WorkflowError, WorkflowRun.DoesNotExist) as error:
        return replace(progress, refused=progress.refused + 1, fault=str(error))
    return replace(progress, done=progress.done + 1)


def _log(request: HttpRequest, run: WorkflowRun, said: str) -> None:
    LogEntry.objects.create(
        user_id=cast(int, request.user.pk),
        content_type_id=ContentType.objects.get_for_model(WorkflowRun).pk,
        object_id=str(run.pk),
        object_repr=str(run)[:200],
        action_flag=CHANGE,
        change_message=said,
    )


def _tell(model_admin: Any, request: HttpRequest, verb: Verb, progress: Progress) -> None:
    said = f"{progress.done:,} run{'' if progress.done == 1 else 's'} {verb.done}."
    model_admin.message_user(request, said, messages.SUCCESS if progress.done else messages.WARNING)
    if progress.refused:
        refused = (
            f"{progress.refused:,} could not be {verb.done}: they had moved on, or refused. {progress.fault}".strip()
        )
        model_admin.message_user(request, refused, messages.WARNING)


def _to_list(query: str) -> HttpResponse:
    address = reverse("admin:django_ai_workflows_workflowrun_changelist")
    return HttpResponseRedirect(f"{address}?{query}" if query else address)


def _page(
    model_admin: Any, request: HttpRequest, verb: Verb, form: BulkForm, *, asks: bool, others: str
) -> HttpResponse:
    total = form.initial["total"]
    context = {
        **model_admin.admin_site.each_context(request),
        "title": f"{verb.label.rstrip('…')} {total} runs",
        "opts": model_admin.opts,
        "media": model_admin.media,
        "verb": verb,
        "form": form,
        "asks": asks,
        "others": others,
        "most": total.replace(",", "").rstrip("+"),
    }
    return TemplateResponse(request, "admin/django_ai_workflows/bulk.html", context)
