"""The views of forms and runs: actions/<name>/, runs/<id>/ and runs/<id>/form/."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.handlers.asgi import ASGIRequest
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string
from django.utils.translation import gettext
from rest_framework.permissions import BasePermission
from rest_framework.request import Request, clone_request
from rest_framework.response import Response
from rest_framework.views import APIView

from ..authoring.actions import Action
from ..exceptions import FormNotOpen
from ..models import WorkflowRun
from ..permissions import may_act_on
from ..runtime import forms
from . import permissions, watch
from .actions import get_actions, post
from .errors import error_response
from .limits import refused
from .schema import schema_of

# How long a request for a run's next state is held open at most, in seconds.
LONGEST_HOLD = 25.0


class _View(APIView):
    """Answers every fault in StateZero's format, under the permission that guards StateZero's views."""

    def get_permissions(self) -> Sequence[BasePermission]:
        allow = getattr(settings, "STATEZERO_VIEW_ACCESS_CLASS", "rest_framework.permissions.AllowAny")
        return [permissions.strict(import_string(allow))]

    def handle_exception(self, exc: Exception) -> Response:
        # Django reads the form of a session's post for its CSRF token, and may refuse the body.
        return error_response(refused(exc)) if isinstance(exc, SuspiciousOperation) else super().handle_exception(exc)


class ActionView(_View):
    """A form: GET describes it, POST submits it."""

    def get(self, request: Request, name: str) -> Response:
        try:
            action = get_actions(name)[-1]
            permissions.check(action, request)
            return Response(schema_of(action, request, lists_rows=False))
        except Exception as error:  # noqa: BLE001
            return error_response(error)

    def post(self, request: Request, name: str) -> Response:
        try:
            return Response(post(name, request))
        except Exception as error:  # noqa: BLE001
            return error_response(error)


class RunView(_View):
    """A run as a front end shows it: its ``current_step_display``."""

    def get(self, request: Request, run_id: int) -> Response:
        try:
            run = permissions.visible_run(request, run_id)
        except Exception as error:  # noqa: BLE001
            return error_response(error)
        headers = {"ETag": f'"{watch.state_of(run.sequence, run.status)}"', "Cache-Control": "private, no-cache"}
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return Response(status=304, headers=headers)
        return Response(run.current_step_display, headers=headers)


class RunFormView(_View):
    """The schema of the form that a run waits for; 409 where it waits for none."""

    def get(self, request: Request, run_id: int) -> Response:
        try:
            run = permissions.visible_run(request, run_id)
            _, step = forms.form_of(run)
            if step is None:
                return error_response(FormNotOpen(_formless(run)))
            _check_poster(step.action, request, run)
            return Response(schema_of(step.action, request, lists_rows=True))
        except Exception as error:  # noqa: BLE001
            return error_response(error)


def _check_poster(action: Action, request: Request, run: WorkflowRun) -> None:
    """Raise the error with which a post of this form by the same user would be refused."""
    posted = clone_request(request, "POST")
    permissions.check(action, posted)
    if not may_act_on(posted, run):
        raise PermissionDenied(gettext("You do not have permission to post this form."))
    permissions.check_run(action, posted, run)


def _formless(run: WorkflowRun) -> str:
    return f"Run #{run.pk} waits for no form: it is {run.status} at step {run.current_step!r}."


action_view = transaction.non_atomic_requests(ActionView.as_view())
form_view = transaction.non_atomic_requests(RunFormView.as_view())


@transaction.non_atomic_requests
async def run_view(request: HttpRequest, run_id: int) -> HttpResponse:
    """Serve a run; under ASGI hold a request with ``Prefer: wait=seconds`` until the run has moved."""
    view: Callable[..., HttpResponse] = RunView.as_view()
    respond = partial(view, request, run_id=run_id)
    if not isinstance(request, ASGIRequest):
        # A held request would hold a thread of the web server, whose number bounds the answers.
        return await sync_to_async(respond)()
    response = await watch.answered(respond)
    seconds = _seconds_to_hold(request)
    if response.status_code != 304 or not seconds:
        return response
    moved = await watch.moves(run_id, response["ETag"].strip('"'), seconds)
    if moved is None:
        return response
    if moved:
        response = await watch.answered(respond)
    response["Preference-Applied"] = f"wait={seconds:g}"
    return response


def _seconds_to_hold(request: HttpRequest) -> float:
    wanted = re.search(r"\bwait=(\d+)", request.headers.get("Prefer", ""))
    return min(float(wanted[1]), LONGEST_HOLD) if wanted else 0
