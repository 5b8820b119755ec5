"""Leases of long steps are renewed by one thread of the worker's process."""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from time import monotonic, sleep

from django.db import connections
from django.db.models import Q

from ... import clock
from ...conf import settings
from .. import logs
from ..machine.statuses import RUNNING
from ..models import WorkflowRun
from . import rows

logger = logging.getLogger(__name__)

# Two beats may fail before a lease runs out.
BEATS_PER_LEASE = 3

Fence = tuple[int, int, int]


class Heart:
    """Renews what it keeps every third of a lease; its thread ends when there is nothing to keep."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: Counter[Fence] = Counter()
        self._thread: threading.Thread | None = None

    def keep(self, fence: Fence) -> None:
        """Renew the lease of this claim from now on, until it is released as often as it is kept."""
        with self._lock:
            self._kept[fence] += 1
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._beat, name="workflow-leases", daemon=True)
                self._thread.start()

    def release(self, fence: Fence) -> None:
        """Renew it no more, if nobody else keeps it: a posted move does when its step has ended."""
        with self._lock:
            self._kept[fence] -= 1
            if self._kept[fence] <= 0:
                del self._kept[fence]

    def _beat(self) -> None:
        last = monotonic()
        while True:
            sleep(settings.LEASE_SECONDS / BEATS_PER_LEASE)
            silence, last = monotonic() - last, monotonic()
            with self._lock:
                kept = set(self._kept)
                if not kept:
                    self._thread = None
                    return
            is_late = silence > settings.LEASE_SECONDS
            if is_late:
                logger.warning(_LATE, len(kept), silence, extra=logs.fields())
            for fence in kept:
                renew(fence, again=is_late)
            connections.close_all()


_LATE = (
    "The leases of %s steps ran out though their worker is alive: it could renew none of them for %.0f s. A call held"
    " the interpreter, or the process stood still. Raise DJANGO_AI['LEASE_SECONDS'] above the longest such call."
)


def renew(fence: Fence, *, again: bool = False) -> bool:
    """Extend one claim's lease by its full length, if the run is still at that fence; say whether that was done.

    With ``again`` also where the scheduler has given the run to other workers, of whom none has begun.

    Who has locked the run for long, as a step that cancels it, must not keep the other leases from being
    renewed: the run is left out then.
    """
    run_id, sequence, attempt = fence
    try:
        rows.leave_broken_connection()
        held = Q(lease_until__isnull=False) | Q(status=RUNNING) if again else Q(lease_until__isnull=False)
        claimed = WorkflowRun.objects.using(rows.alias()).filter(held, pk=run_id, sequence=sequence, attempt=attempt)
        with rows.transaction_of_runs():
            if claimed.select_for_update(**rows.lock_options(skip_locked=True)).only("pk").first():
                return bool(claimed.update(lease_until=clock.now() + rows.lease()))
    except Exception:  # the database may be away for a moment, and in any way; the next beat tries again
        logger.warning("Could not renew the lease of run #%s.", run_id, exc_info=True, extra=logs.fields(run_id=run_id))
    return False


def renew_late(run: WorkflowRun, asked: float) -> bool:
    """Renew at once the lease of a claim that had to wait, for the run's row or for its turn.

    Args:
        asked: when the claim was asked for, by ``monotonic``; its lease counts from then.

    Returns whether the claim may still be used: a lease that is over may be somebody else's.
    """
    waited = monotonic() - asked
    if waited <= settings.LEASE_SECONDS / BEATS_PER_LEASE:
        return True
    return renew((run.pk, run.sequence, run.attempt)) or waited < settings.LEASE_SECONDS


_hearts: dict[int, Heart] = {}


def keep(run: WorkflowRun, sequence: int, attempt: int) -> None:
    """Renew the lease of this claim until it is let go."""
    # Threads do not survive a fork: each process has a heart of its own.
    heart = _hearts.get(os.getpid()) or _hearts.setdefault(os.getpid(), Heart())
    heart.keep((run.pk, sequence, attempt))


def let_go(run: WorkflowRun, sequence: int, attempt: int) -> None:
    """Renew the lease of this claim no more, though its step still runs."""
    heart = _hearts.get(os.getpid())
    if heart:
        heart.release((run.pk, sequence, attempt))


class keeping:  # noqa: N801 - used as a function
    """Keep the claim of a run alive while the block runs."""

    __slots__ = ("_claim",)

    def __init__(self, run: WorkflowRun) -> None:
        self._claim = (run, run.sequence, run.attempt)

    def __enter__(self) -> None:
        keep(*self._claim)

    def __exit__(self, *_: object) -> None:
        let_go(*self._claim)
