"""What Celery tells its workers, that they start and shall stop, and beat, that its ticks are sent."""

from __future__ import annotations

from typing import Any

from celery import signals

from ..taking import silence_ticks
from .monitoring import listening
from .runtime import dispatch, pulses, stopping

_witness = pulses.BeatWitness()


@signals.worker_init.connect(weak=False)
def start(**_: Any) -> None:
    """Begin anew: an earlier worker of this process may have been told to stop."""
    stopping.withdraw()
    silence_ticks()


@signals.worker_ready.connect(weak=False)
def look_around(**_: Any) -> None:
    """Look at once for what workers left behind that are gone, and serve the metrics."""
    dispatch.tick()
    listening.serve_metrics()


@signals.worker_shutting_down.connect(weak=False)
def stop(**_: Any) -> None:
    """Tell the tasks of this worker, in its pool's processes too."""
    stopping.announce()


@signals.beat_init.connect(weak=False)
def watch_beat(**_: Any) -> None:
    """Watch, in beat's process alone, that the broker takes its ticks."""
    signals.after_task_publish.connect(_witness, sender=dispatch.TICK, weak=False)
