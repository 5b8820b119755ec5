"""Records in the history that an attempt went on beyond its lease, when a later attempt had begun."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.db import Error

from ...conf import settings
from .. import logs
from ..exceptions import LeaseLost, WorkerLost, describe
from ..machine.state import Failure
from ..models import StepExecution, WorkflowRun
from . import rows

logger = logging.getLogger(__name__)


def record(run_id: int, sequence: int, attempt: int, now: datetime) -> None:
    """Write to the visit of a step that this attempt went on beyond its lease, if the visit has a later attempt.

    Its worker did not die, as other workers had to believe.
    """
    error = LeaseLost(
        f"Attempt {attempt} went on beyond its lease of {settings.LEASE_SECONDS:g} s, which its worker could not renew:"
        " a call held the interpreter, or the process stood still. Another attempt had begun when it ended, so its"
        " result was discarded. Raise DJANGO_AI['LEASE_SECONDS'] above the longest such call."
    )
    failure = rows.failure_data(Failure(attempt=attempt, error=describe(error), traceback="", at=now))
    try:
        rows.despite_deadlocks(lambda: _write(run_id, sequence, failure))
    except Error:
        logger.warning("Could not write the end of an attempt of run #%s.", run_id, extra=logs.fields(run_id=run_id))


def _write(run_id: int, sequence: int, failure: dict[str, Any]) -> None:
    with rows.transaction_of_runs():
        locked = rows.lock(run_id)
        visits = StepExecution.objects.using(rows.alias()).filter(run_id=run_id, sequence=sequence)
        if locked and (locked[0].sequence, locked[0].lease_until is None) == (sequence, False):
            run = locked[0]
            if run.attempt > failure["attempt"]:
                failures = _with(run.failures, failure)
                WorkflowRun.objects.using(rows.alias()).filter(pk=run_id).update(failures=failures)
        elif (visit := visits.first()) and (visit.attempts > failure["attempt"] or _silent(visit.failures, failure)):
            visits.update(failures=_with(visit.failures, failure))


def _silent(failures: list[dict[str, Any]], failure: dict[str, Any]) -> bool:
    """Return whether this attempt is recorded as one whose worker was lost."""
    return any((said["attempt"], said["error"]) == (failure["attempt"], describe(WorkerLost())) for said in failures)


def _with(failures: list[dict[str, Any]], failure: dict[str, Any]) -> list[dict[str, Any]]:
    known = {of_run["attempt"]: of_run for of_run in failures}
    if failure["attempt"] in known and not _silent(failures, failure):
        return failures  # the attempt has a reason already, such as its interruption
    known[failure["attempt"]] = failure
    return [known[attempt] for attempt in sorted(known)]


def failures_now(run: WorkflowRun) -> list[dict[str, Any]]:
    """Return the failed attempts of a run as its row has them now."""
    found = WorkflowRun.objects.using(rows.alias()).filter(pk=run.pk).values_list("failures", flat=True).first()
    failures: list[dict[str, Any]] = run.failures if found is None else found
    return failures
