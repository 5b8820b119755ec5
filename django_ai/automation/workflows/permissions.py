"""Who may see a run and post its forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .authoring.registry import registry

if TYPE_CHECKING:
    from .models import WorkflowRun

# The classmethod of a workflow class that decides: (request, run) → bool.
HOOK = "has_run_permission"


class OwnerOrStaff:
    """Base of a workflow class whose runs are for their owner and the staff alone.

    A run without an owner is for the staff.
    """

    @classmethod
    def has_run_permission(cls, request: Any, run: WorkflowRun) -> bool:
        """Say whether the user of ``request`` is staff or the run's owner."""
        return is_staff(request.user) or is_owner(request.user, run)


def is_staff(user: Any) -> bool:
    """Say whether this is an active member of the staff."""
    return bool(user and user.is_authenticated and user.is_active and user.is_staff)


def is_owner(user: Any, run: WorkflowRun) -> bool:
    """Say whether the run is this user's."""
    return bool(user and user.is_authenticated and run.owner_id is not None and run.owner_id == user.pk)


def may_act_on(request: Any, run: WorkflowRun) -> bool:
    """Say whether the user of ``request`` may know of a run and post its forms.

    The workflow class decides by its ``has_run_permission``. One that has none leaves a run with an
    owner to that owner and the staff, and a run without to the permissions of its actions. Whom the
    runs of a class that the code no longer has were for, nobody knows: they are for owner and staff.
    """
    definition = registry.get(run.name, run.version)
    hook = getattr(definition.cls, HOOK, None) if definition else OwnerOrStaff.has_run_permission
    if hook is not None:
        return bool(hook(request, run))
    return run.owner_id is None or OwnerOrStaff.has_run_permission(request, run)
