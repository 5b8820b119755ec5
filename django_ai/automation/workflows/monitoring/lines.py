"""Writes what happens to runs into the log, one line each, with the run's fields in ``extra``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from ... import storable
from .. import logs
from ..exceptions import WorkflowError, describe
from ..machine.statuses import FAILED
from ..models import WorkflowRun
from ..runtime.hearing import Claimed, Kind, Listener, Notice

logger = logging.getLogger("django_ai.automation.workflows")


@dataclass(frozen=True, slots=True)
class Line:
    """The level of a kind of line and its text."""

    level: int
    text: Callable[[Notice], str]


def _seconds(notice: Notice) -> str:
    return f"{notice.lasted.total_seconds():.3f} s" if notice.lasted is not None else "no time"


def _waits(notice: Notice) -> str:
    due = f" until {notice.wait.due_at.isoformat()}" if notice.wait.due_at else ""
    return f"{notice.run} waits for {_awaited(notice)}{due}."


def _awaited(notice: Notice) -> str:
    return f"{notice.wait.kind} {notice.wait.name}".strip()


def _again(notice: Notice) -> str:
    when = f"at {notice.wait.due_at.isoformat()}" if notice.wait and notice.wait.due_at else "at once"
    return f"Step {notice.step} of {notice.run} failed in attempt {notice.attempt}, runs again {when}: {notice.error}"


_LINES: dict[Kind, Line] = {
    Kind.RUN_STARTED: Line(logging.INFO, lambda notice: f"{notice.run} started."),
    Kind.RUN_SUSPENDED: Line(logging.DEBUG, _waits),
    Kind.RUN_RESUMED: Line(
        logging.DEBUG,
        lambda notice: f"The wait of {notice.run} for {_awaited(notice)} ended after {_seconds(notice)}.",
    ),
    Kind.RUN_RETRIED: Line(logging.INFO, lambda notice: f"{notice.run} was taken up again at step {notice.step}."),
    Kind.RUN_COMPLETED: Line(logging.INFO, lambda notice: f"{notice.run} completed after {_seconds(notice)}."),
    Kind.RUN_FAILED: Line(logging.WARNING, lambda notice: f"{notice.run} failed at step {notice.step}: {notice.error}"),
    Kind.RUN_CANCELLED: Line(logging.INFO, lambda notice: f"{notice.run} was cancelled: {notice.error or 'no reason'}"),
    Kind.STEP_STARTED: Line(
        logging.DEBUG, lambda notice: f"Step {notice.step} of {notice.run} starts, attempt {notice.attempt}."
    ),
    Kind.STEP_COMPLETED: Line(
        logging.DEBUG, lambda notice: f"Step {notice.step} of {notice.run} completed in {_seconds(notice)}."
    ),
    Kind.STEP_RETRIED: Line(logging.WARNING, _again),
}

_KINDS_BY_LEVEL = {
    level: frozenset(kind for kind, line in _LINES.items() if line.level >= level)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
}


class Lines(Listener):
    """Writes the lines that the logger's level lets through."""

    def wants(self) -> frozenset[Kind]:
        return next((kinds for level, kinds in _KINDS_BY_LEVEL.items() if logger.isEnabledFor(level)), frozenset())

    def hear(self, notice: Notice) -> None:
        if notice.raised and notice.kind is Kind.RUN_FAILED:
            return  # told with its exception, by `raised`
        line = _LINES[notice.kind]
        # A handler that writes to a file raises where a text is no Unicode, and the line is lost.
        logger.log(line.level, "%s", storable.text(line.text(notice)), extra=_about(notice))

    def raised(self, claim: Claimed, error: BaseException) -> None:
        """Write the traceback: as an error when that was the last attempt, else for those who look closely."""
        final = claim.run.status == FAILED
        logger.log(
            logging.ERROR if final else logging.DEBUG,
            "Step %s of %s failed%s: %s",
            claim.run.current_step,
            claim.run,
            " for good" if final else f" in attempt {claim.run.attempt}",
            describe(error),
            extra=logs.about(claim.run),
            # The engine's own errors say it all in one line.
            exc_info=None if isinstance(error, WorkflowError) else error,
        )

    def lost(self, run: WorkflowRun) -> None:
        """Write that a worker went silent: killed, cut off, or too busy to renew its lease."""
        text = "The worker of %s went silent in step %s; another one takes it over."
        logger.warning(text, run, run.current_step, extra=logs.about(run))


def _about(notice: Notice) -> dict[str, object]:
    return {**logs.about(notice.run), "step": notice.step, "attempt": notice.attempt}
