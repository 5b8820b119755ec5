"""Who may see a run and post its forms."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import DatabaseError
from django.db.models import Model, Q, QuerySet
from django.http import Http404
from django.utils.module_loading import import_string

from ..conf import settings
from .authoring.actions import HOOK
from .authoring.registry import registry

if TYPE_CHECKING:
    from .models import WorkflowRun

logger = logging.getLogger(__name__)

Row = TypeVar("Row", bound=Model)

# The methods that need only the permission to view.
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class OwnerOrStaff:
    """Base of a workflow class whose runs are for their owner and the staff alone.

    A run without an owner is for the staff. Staff needs Django's permission to view runs in order to
    read one, and the permission to change runs in order to post a form.
    """

    @classmethod
    def has_run_permission(cls, request: Any, run: WorkflowRun) -> bool:
        """Return whether the user of ``request`` owns the run, or is staff with the permission that it needs."""
        return is_owner(request.user, run) or is_staff(request)


def is_staff(request: Any) -> bool:
    """Return whether the user is active staff with the permission that the request's method needs."""
    user = request.user
    if not (user and user.is_authenticated and user.is_active and user.is_staff):
        return False
    needed = ("change", "view") if getattr(request, "method", None) in _READS else ("change",)
    return any(user.has_perm(f"django_ai_workflows.{name}_workflowrun") for name in needed)


def is_owner(user: Any, run: WorkflowRun) -> bool:
    """Return whether the run is this user's."""
    return bool(user and user.is_authenticated and run.owner_id is not None and run.owner_id == user.pk)


def may_act_on(request: Any, run: WorkflowRun) -> bool:
    """Return whether the user of ``request`` may see a run, and may use the request's method on it.

    The workflow class decides by its ``has_run_permission``, which grants by ``True`` alone and refuses by
    raising. A class that has none leaves a run with an owner to that owner and the staff, and a run without an
    owner to the permissions of its actions. The runs of a class that the code no longer has are for their owner
    and the staff.
    """
    definition = registry.get(run.name, run.version)
    hook = getattr(definition.cls, HOOK, None) if definition else OwnerOrStaff.has_run_permission
    if hook is not None:
        return _is_granted_by(hook, request, run)
    return run.owner_id is None or OwnerOrStaff.has_run_permission(request, run)


def _is_granted_by(hook: Any, request: Any, run: WorkflowRun) -> bool:
    """Ask a hook. One that raises refuses: another answer would tell a stranger that there is such a run."""
    try:
        return is_granted(hook(request, run), hook)
    except DatabaseError:
        raise  # the hook has not decided
    except Exception as error:
        status = getattr(error, "status_code", 500)  # of Django REST framework's exceptions
        if not isinstance(error, PermissionDenied | Http404) and status >= 500:
            logger.exception("%s raised, which grants nothing: only True does.", _name(hook))
        return False


def is_granted(answer: object, hook: object) -> bool:
    """Return whether ``answer`` is True itself; log any other answer that is not plainly a refusal."""
    if inspect.iscoroutine(answer):
        answer.close()
    if answer is not True and answer:
        logger.error("%s answered %s, which grants nothing: only True does.", _name(hook), type(answer).__name__)
    return answer is True


def _name(hook: object) -> str:
    return getattr(hook, "__qualname__", None) or type(hook).__qualname__


def visible_to(request: Any, rows: QuerySet[Row], run: str = "pk") -> QuerySet[Row]:
    """Return the ``rows`` of runs that the project lets the user of ``request`` see.

    Args:
        request: Django's request, or the one of Django REST framework.
        rows: runs, or rows that belong to runs.
        run: the field that holds the run's number; "pk" for runs.

    Raises:
        ImproperlyConfigured: ``DJANGO_AI["RUNS_VISIBLE_TO"]`` names no function that returns a
            queryset of runs or a Q.
    """
    if settings.RUNS_VISIBLE_TO is None:
        return rows
    runs = _visible_runs(request).using(rows.db)
    return rows.filter(**{f"{run}__in": runs.values("pk")})


def _visible_runs(request: Any) -> QuerySet[WorkflowRun]:
    from .models import WorkflowRun

    found = visibility_hook()(request)
    if isinstance(found, Q):
        return WorkflowRun.objects.filter(found)
    if isinstance(found, QuerySet) and issubclass(found.model, WorkflowRun):
        return found
    if inspect.iscoroutine(found):
        found.close()
    raise ImproperlyConfigured(
        f"{settings.RUNS_VISIBLE_TO} must return a queryset of WorkflowRun or a Q, not {type(found).__name__}."
    )


def visibility_hook() -> Any:
    """Return the function that ``DJANGO_AI["RUNS_VISIBLE_TO"]`` names. Raises ImproperlyConfigured."""
    path = settings.RUNS_VISIBLE_TO or ""
    try:
        hook = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(f'DJANGO_AI["RUNS_VISIBLE_TO"] cannot be imported: {error}') from error
    if not callable(hook) or inspect.iscoroutinefunction(hook):
        raise ImproperlyConfigured(f'DJANGO_AI["RUNS_VISIBLE_TO"] must name a plain function, not {hook!r}.')
    return hook
