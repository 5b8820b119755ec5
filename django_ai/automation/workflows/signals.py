"""Django signals of runs and steps, for what may get lost in a crash; what must not belongs into a step.

Each is sent when its move has committed, by the process that made it, and with ``sender`` the workflow
class (None where the code no longer has it). A receiver that raises is logged and hurts nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.dispatch import Signal

from .runtime import rows
from .runtime.hearing import NONE, Kind, Listener, Notice

# All get ``run`` (the row as the move left it), ``step``, ``attempt`` and ``at``; the comments name what
# else each of them gets.
run_started = Signal()
run_suspended = Signal()  # kind, name, due_at
run_resumed = Signal()  # kind, name, waited
run_retried = Signal()
run_completed = Signal()
run_failed = Signal()  # error
run_cancelled = Signal()  # reason
step_started = Signal()
step_completed = Signal()  # duration
step_retried = Signal()  # error, due_at
step_failed = Signal()  # error, duration


def _wait(notice: Notice) -> dict[str, Any]:
    return {"kind": str(notice.wait.kind), "name": notice.wait.name, **_due(notice)}


def _due(notice: Notice) -> dict[str, Any]:
    return {"due_at": notice.wait.due_at if notice.wait else None}


def _wait_over(notice: Notice) -> dict[str, Any]:
    return {"kind": str(notice.wait.kind), "name": notice.wait.name, "waited": notice.lasted}


def _nothing(notice: Notice) -> dict[str, Any]:
    return {}


_SIGNALS: dict[Kind, tuple[Signal, Callable[[Notice], dict[str, Any]]]] = {
    Kind.RUN_STARTED: (run_started, _nothing),
    Kind.RUN_SUSPENDED: (run_suspended, _wait),
    Kind.RUN_RESUMED: (run_resumed, _wait_over),
    Kind.RUN_RETRIED: (run_retried, _nothing),
    Kind.RUN_COMPLETED: (run_completed, _nothing),
    Kind.RUN_FAILED: (run_failed, lambda notice: {"error": notice.error}),
    Kind.RUN_CANCELLED: (run_cancelled, lambda notice: {"reason": notice.error}),
    Kind.STEP_STARTED: (step_started, _nothing),
    Kind.STEP_COMPLETED: (step_completed, lambda notice: {"duration": notice.lasted}),
    Kind.STEP_RETRIED: (step_retried, lambda notice: {"error": notice.error, **_due(notice)}),
    Kind.STEP_FAILED: (step_failed, lambda notice: {"error": notice.error, "duration": notice.lasted}),
}


class Signals(Listener):
    """Sends the Django signals that have receivers."""

    def wants(self) -> frozenset[Kind]:
        heard = [kind for kind, (signal, _) in _SIGNALS.items() if signal.receivers]
        return frozenset(heard) if heard else NONE

    def hear(self, notice: Notice) -> None:
        signal, details = _SIGNALS[notice.kind]
        definition = rows.definition_of(notice.run)
        signal.send_robust(
            sender=definition.cls if definition else None,
            run=notice.run,
            step=notice.step,
            attempt=notice.attempt,
            at=notice.at,
            **details(notice),
        )
