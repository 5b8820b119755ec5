"""A note on a failed test whose runs have not run: most likely it forgot ``drain()``."""

from __future__ import annotations

from ..workflows.models import Signal, SignalState, WorkflowRun
from ..workflows.runtime import rows, scheduler

# How many of the runs a note names.
MOST_NAMED = 3

_BEGIN = "Nothing has run yet of what was started or sent: "


def add_note(error: Exception, *, has_kit: bool) -> None:
    """Add a note to a test's error that lists the runs that wait for a worker, if any, and what to call.

    Args:
        has_kit: whether the test has the kit, so that it can call ``drain()``.
    """
    if any(note.startswith(_BEGIN) for note in getattr(error, "__notes__", ())):
        return
    try:
        waiting = _waiting()
    except Exception:  # noqa: BLE001 - the test has no database, or a broken transaction; its own error matters
        return
    if waiting:
        error.add_note(_note(waiting, has_kit=has_kit))


def _note(waiting: list[str], *, has_kit: bool) -> str:
    what_to_do = (
        "Call workflows.drain(), which runs what is due."
        if has_kit
        else "No worker runs in a test: use the fixture workflows, or workflow_testing(), and call workflows.drain()."
    )
    return f"{_BEGIN}{'; '.join(waiting)}. {what_to_do}"


def _waiting() -> list[str]:
    runs = WorkflowRun.objects.using(rows.alias()).wanting_worker().filter(attempt=0, lease_until=None)
    first = runs.order_by("pk").values_list("pk", "name", "current_step")[:MOST_NAMED]
    named = [f"{name} #{pk} waits at {step!r}" for pk, name, step in first]
    more = runs.count() - len(named)
    signals = Signal.objects.using(rows.alias()).filter(scheduler.deliverable(), state=SignalState.PENDING).count()
    return [
        *named,
        *([f"{more} more runs"] if more else []),
        *([f"{signals} messages to runs are not delivered"] if signals else []),
    ]
