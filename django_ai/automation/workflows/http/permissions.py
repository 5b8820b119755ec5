"""The permission classes of an action: DRF's, StateZero's, and the run's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext

from ..authoring.actions import Action
from ..models import WorkflowRun
from ..permissions import may_act_on
from ..runtime import rows


def check(action: Action, request: Any) -> None:
    """Ask the action's permissions before the form is looked at. Raises PermissionDenied."""
    for permission in _permissions(action):
        target = action.name if _is_statezero(permission) else _view(request)
        if not permission.has_permission(request, target):
            raise PermissionDenied(_refusal(permission))


def check_data(action: Action, request: Any, data: Mapping[str, Any]) -> None:
    """Ask those that want to see the valid form. Raises PermissionDenied."""
    for permission in _permissions(action):
        if _is_statezero(permission) and not permission.has_action_permission(request, action.name, data):
            raise PermissionDenied(_refusal(permission))


def visible_run(request: Any, run_id: int, action: Action | None = None) -> WorkflowRun:
    """Return a run that the request's user may act on.

    Raises:
        Http404: there is none, or it is none of the user's business; nobody can tell which.
    """
    runs = WorkflowRun.objects.using(rows.alias()).select_related("suspension")
    run = runs.filter(pk=run_id).first()
    if run is None or not may_act_on(request, run) or not (action is None or _grants(action, request, run)):
        raise Http404(f"There is no workflow run #{run_id}.")
    return run


def _grants(action: Action, request: Any, run: WorkflowRun) -> bool:
    by_object = [permission for permission in _permissions(action) if hasattr(permission, "has_object_permission")]
    return all(permission.has_object_permission(request, _view(request), run) for permission in by_object)


def _permissions(action: Action) -> Iterator[Any]:
    for permission in action.permissions:
        made = isinstance(permission, type) or not hasattr(permission, "has_permission")
        yield permission() if made else permission


def _is_statezero(permission: Any) -> bool:
    return hasattr(permission, "has_action_permission")


def _view(request: Any) -> Any:
    return getattr(request, "parser_context", {}).get("view")


def _refusal(permission: Any) -> str:
    return getattr(permission, "message", None) or gettext("You do not have permission to post this form.")
