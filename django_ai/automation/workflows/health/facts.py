"""What health is judged by, as data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

# Counting stops here: that there are more is all that one needs to know.
MOST = 1000

# So many of the runs that are stuck are named.
EXAMPLES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What gives signs of life: when it last did, since when it owes one, and what its queue costs a message."""

    at: datetime | None = None
    asked_at: datetime | None = None
    lag: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What should have happened and has not yet: how much, up to MOST, and since when the oldest."""

    count: int = 0
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was found at one moment. ``database`` says why nothing could be; the rest is empty then."""

    now: datetime | None = None
    database: str = ""
    broker: str = ""
    broker_address: str = ""
    project: str = "project"
    tick_queue: str = "celery"
    beat: Part = Part()
    tick: Part = Part()
    queues: tuple[tuple[str, Part], ...] = ()
    steps: Backlog = Backlog()
    timers: Backlog = Backlog()
    messages: Backlog = Backlog()
    events: Backlog = Backlog()
    stuck: Backlog = Backlog()
    stuck_runs: tuple[int, ...] = ()
    without_child: tuple[int, ...] = ()
