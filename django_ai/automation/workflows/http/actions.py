"""The one path of a post, whoever serves the URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pydantic
from django.http import Http404

from ..authoring.actions import Action, find_action
from ..models import WorkflowRun
from ..runtime import forms
from . import permissions
from .errors import EXPECTED, as_validation_error
from .serializers import RUN_ID, answer_of, input_serializer


def get_action(name: str) -> Action:
    """Return the action of this name. Raises Http404."""
    action = find_action(name)
    if action is None:
        raise Http404(f"There is no action {name!r}.")
    return action


def post(action: Action, request: Any) -> dict[str, Any]:
    """Check permissions and data of a request, perform the action and return its answer."""
    permissions.check(action, request)
    serializer = input_serializer(action)(data=request.data, context={"request": request})
    serializer.is_valid(raise_exception=True)
    data: Mapping[str, Any] = serializer.validated_data
    permissions.check_data(action, request, data)
    return perform(action, request, data)


def perform(action: Action, request: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """Run the step of the run that valid data name, and return the answer.

    Raises:
        Http404: no such run, or not for this user.
        FormNotOpen: the run is elsewhere.
        FormFailed: the step's code failed.
    """
    run = permissions.visible_run(request, data[RUN_ID], action)
    arguments = {name: value for name, value in data.items() if name != RUN_ID}
    offered = {RUN_ID: run.pk, "request": request}
    submitted = forms.Post(action.name, arguments, offered, EXPECTED)

    def answer(moved: WorkflowRun) -> dict[str, Any]:
        return answer_of(action, moved)

    try:
        return forms.submit(run.pk, submitted, answer)
    except pydantic.ValidationError as error:
        raise as_validation_error(error) from error
    except WorkflowRun.DoesNotExist:
        raise Http404(f"There is no workflow run #{run.pk}.") from None
