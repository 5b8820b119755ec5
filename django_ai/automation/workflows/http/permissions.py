"""The permission classes of an action: DRF's, StateZero's, and the run's own."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext
from rest_framework.request import clone_request

from ...storable import LARGEST_NUMBER
from ..authoring.actions import QUESTIONS, Action
from ..models import WorkflowRun
from ..permissions import is_granted, may_act_on, visible_to
from ..runtime import rows


class Strict:
    """A permission whose answers are taken for what they are: True grants, False refuses, others are faults.

    A fault is refused where it stands and not handed to the operators that compose permissions, for which a
    coroutine would be a yes, and a ``~`` would turn its refusal into one.
    """

    def __init__(self, permission: Any) -> None:
        self._permission = permission

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._permission, name)
        return partial(self._ask, found) if name in QUESTIONS else found

    def _ask(self, question: Any, *args: Any) -> bool:
        answer = question(*args)
        if answer is True or answer is False:
            return answer
        is_granted(answer, question)  # which logs it
        raise PermissionDenied(_refusal(self._permission))


def strict(permission: Any) -> Any:
    """Return an instance of a permission, and of all that it is composed of, whose answers are strict."""
    made = isinstance(permission, type) or not hasattr(permission, "has_permission")
    found = permission() if made else permission
    composed = [name for name in ("op1", "op2", "_permissions") if hasattr(found, name)]
    if not composed:
        return Strict(found)
    found = copy.copy(found)
    for name in composed:
        part = getattr(found, name)
        setattr(found, name, [partial(strict, each) for each in part] if name == "_permissions" else strict(part))
    return found


def check(action: Action, request: Any) -> None:
    """Ask the action's permissions before the form is looked at. Raises PermissionDenied."""
    for permission in _permissions(action):
        target = action.name if _is_statezero(permission) else _view(request)
        if permission.has_permission(request, target) is not True:
            raise PermissionDenied(_refusal(permission))


def refusal(action: Action, request: Any) -> Exception | None:
    """Return what the action's permissions refuse this request with, or None where they do not.

    Permissions may raise whatever they want to be answered. It counts for this form alone, and not for
    those of other versions with the same name.
    """
    try:
        check(action, request)
    except Exception as error:  # noqa: BLE001
        return error
    return None


def check_run(action: Action, request: Any, run: WorkflowRun) -> None:
    """Ask those that want to see the run. Raises Http404, as for a run that is not there."""
    by_object = [permission for permission in _permissions(action) if hasattr(permission, "has_object_permission")]
    if not all(permission.has_object_permission(request, _view(request), run) is True for permission in by_object):
        raise _missing(run.pk)


def check_data(action: Action, request: Any, data: Mapping[str, Any]) -> None:
    """Ask those that want to see the valid form. Raises PermissionDenied."""
    for permission in _permissions(action):
        asks = _is_statezero(permission)
        if asks and permission.has_action_permission(request, action.name, data) is not True:
            raise PermissionDenied(_refusal(permission))


def visible_run(request: Any, run_id: int) -> WorkflowRun:
    """Return a run that the request's user may know of.

    Raises:
        Http404: there is no such run, or the user may not see it; both give the same answer.
        PermissionDenied: the user may read the run, but the request's method is not permitted.
    """
    runs = WorkflowRun.objects.using(rows.alias()).select_related("suspension").defer(*rows.LARGE)
    run = visible_to(request, runs).filter(pk=run_id).first() if run_id <= LARGEST_NUMBER else None
    if run is None:
        raise _missing(run_id)
    if not may_act_on(request, run):
        reads = request.method in ("GET", "HEAD", "OPTIONS")
        if reads or not may_act_on(clone_request(request, "GET"), run):
            raise _missing(run_id)
        raise PermissionDenied(_refusal(None))
    return run


def _missing(run_id: int) -> Http404:
    number = f"#{run_id}" if run_id <= LARGEST_NUMBER else "of this number"
    return Http404(f"There is no workflow run {number}.")


def _permissions(action: Action) -> Iterator[Any]:
    yield from map(strict, action.permissions)


def _is_statezero(permission: Any) -> bool:
    return hasattr(permission, "has_action_permission")


def _view(request: Any) -> Any:
    return getattr(request, "parser_context", {}).get("view")


def _refusal(permission: Any) -> str:
    return getattr(permission, "message", None) or gettext("You do not have permission to post this form.")
