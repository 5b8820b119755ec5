"""Which steps are quick, as this process has seen them: only these may keep other runs waiting a moment."""

from __future__ import annotations

from ..models import WorkflowRun

# A call that takes less is quick, and so is a step whose last calls, this many in a row, were.
QUICK_SECONDS = 0.02
ENOUGH = 3

Place = tuple[str, str, str]

_quick_calls: dict[Place, int] = {}


def place_of(run: WorkflowRun) -> Place:
    """Return what names the step that a run is at."""
    return run.name, run.version, run.current_step


def note(place: Place, seconds: float) -> None:
    """Remember how long a call of a step's code took."""
    _quick_calls[place] = min(_quick_calls.get(place, 0) + 1, ENOUGH) if seconds < QUICK_SECONDS else 0


def is_quick(place: Place) -> bool:
    """Say whether a step was quick the last times; one that this process has not run yet is not."""
    return _quick_calls.get(place, 0) >= ENOUGH


def is_slow(place: Place) -> bool:
    """Say whether a step was not quick the last time; of one that this process has not run yet nobody knows."""
    return _quick_calls.get(place) == 0


def quick_places() -> list[Place]:
    """Return where steps were quick the last times."""
    return [place for place, calls in list(_quick_calls.items()) if calls >= ENOUGH]


def forget() -> None:
    """Know of no step any more."""
    _quick_calls.clear()
