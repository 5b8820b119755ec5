"""Runs that should have moved by now: nobody takes their step, or their time has come and they sleep on."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q

from ... import clock
from ...conf import settings
from ..machine.statuses import RUNNING
from ..models import Suspension, WorkflowRun
from . import childless

# How many of each kind are looked for: whoever has more of them needs no longer list.
MOST = 1_000


def stuck(using: str) -> list[int]:
    """Return the ids of runs that should have moved by now, and of those whose child was deleted."""
    return list(dict.fromkeys([*unmoved(using), *without_child()]))


def unmoved(using: str) -> list[int]:
    """Return the ids of runs that nobody moved for STUCK_AFTER_SECONDS though they could move.

    At most MOST of each kind. A step that runs, however long, is not stuck: its worker renews the lease.
    Two queries, each served by an index, however many runs have ended or sleep.
    """
    late = clock.now() - timedelta(seconds=settings.STUCK_AFTER_SECONDS)
    nobody = Q(lease_until__isnull=True, updated_at__lt=late) | Q(lease_until__lt=late)
    running = WorkflowRun.objects.using(using).filter(nobody, status=RUNNING).order_by("-pk")
    overdue = Suspension.objects.using(using).filter(due_at__lt=late).order_by("due_at")
    return [*running.values_list("pk", flat=True)[:MOST], *overdue.values_list("pk", flat=True)[:MOST]]


def without_child() -> list[int]:
    """Return the ids of runs whose child was deleted, of the MOST that have waited for a child longest."""
    return [wait.run_id for wait in childless.page_after(0, MOST).found]
