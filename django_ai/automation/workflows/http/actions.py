"""The one path of a post, with StateZero and without it: limits, the run, its form, permissions, data, the step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pydantic
from django.http import Http404
from rest_framework import serializers
from rest_framework.fields import empty

from ..authoring.actions import Action, find_actions
from ..models import WorkflowRun
from ..runtime import forms, rows
from . import limits, permissions
from .errors import EXPECTED, as_validation_error
from .serializers import RUN_ID, answer_of, input_serializer


@dataclass(frozen=True, slots=True)
class Posting:
    """A post whose sender may send it: the run that it names, and the form at which that run stands."""

    run: WorkflowRun
    action: Action


def get_actions(name: str) -> list[Action]:
    """Return the actions of this name, the one of the newest version last. Raises Http404."""
    actions = find_actions(name)
    if not actions:
        raise Http404(f"There is no action {name!r}.")
    return actions


def posting_of(name: str, request: Any) -> Posting:
    """Return the run and the form that a post is for, if its sender may post it.

    The run decides: the permissions and the serializer are those of the step at which it stands, in its own
    version. Other steps and versions may have an action of the same name. Nothing of the form is validated
    before.

    Raises:
        TooLarge, ParseError, UnsupportedMediaType: the body is refused.
        PermissionDenied: the permissions of the form, or of all forms of this name, refuse; or what they raise.
        Http404: no such action, or no such run, or none that the sender may know of.
        FormNotOpen: the run is elsewhere.
    """
    refusals = {action: permissions.refusal(action, request) for action in get_actions(name)}
    least = list(refusals.values())[-1]
    if least is not None and all(refusals.values()):
        raise least
    run = permissions.visible_run(request, _run_id(limits.data_of(request)))
    _, step = forms.form_of(run)
    is_open = step is not None and step.action.name == name
    action = step.action if step is not None and is_open else _closed_form(run, name)
    if action is not None:
        refused = refusals[action]
        if refused is not None:
            raise refused
        permissions.check_run(action, request, run)
    if action is None or not is_open:
        raise forms.elsewhere(run)
    return Posting(run, action)


def _closed_form(run: WorkflowRun, name: str) -> Action | None:
    definition = rows.definition_of(run)
    steps = definition.steps.values() if definition else ()
    return next((step.action for step in steps if step.action is not None and step.action.name == name), None)


def _run_id(data: Mapping[str, Any]) -> int:
    field = serializers.IntegerField(min_value=1)
    try:
        value: int = field.run_validation(data.get(RUN_ID, empty))
    except serializers.ValidationError as error:
        raise serializers.ValidationError({RUN_ID: error.detail}) from None
    return value


def post(name: str, request: Any) -> dict[str, Any]:
    """Check who sent a request and what it holds, perform the action and return its answer."""
    posting = posting_of(name, request)
    serializer = input_serializer(posting.action)(data=request.data, context={"request": request})
    serializer.is_valid(raise_exception=True)
    data: Mapping[str, Any] = serializer.validated_data
    permissions.check_data(posting.action, request, data)
    return perform(posting, request, data)


def perform(posting: Posting, request: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """Run the step behind a form with valid data, and return the answer.

    Raises:
        FormNotOpen: the run is elsewhere by now.
        FormFailed: the step's code failed.
    """
    run, action = posting.run, posting.action
    arguments = {name: value for name, value in data.items() if name != RUN_ID}
    offered = {RUN_ID: run.pk, "request": request}
    submitted = forms.Post(action.name, arguments, offered, EXPECTED, action)

    def answer(moved: WorkflowRun) -> dict[str, Any]:
        return answer_of(action, moved)

    try:
        return forms.submit(run.pk, submitted, answer)
    except pydantic.ValidationError as error:
        raise as_validation_error(error) from error
    except WorkflowRun.DoesNotExist:
        raise Http404(f"There is no workflow run #{run.pk}.") from None
