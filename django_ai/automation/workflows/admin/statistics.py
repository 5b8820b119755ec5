"""What runs do lately, from the newest rows alone: how many, how fast, how often in vain, where they wait."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import connections
from django.db.models import QuerySet

from ..machine.statuses import FAILED, FINAL, RUNNING, SUSPENDED
from ..models import PastWait, StepExecution, Suspension, WorkflowRun
from .bounds import CAP
from .times import compact

# Of what has happened lately, this many rows are read at most.
SAMPLE = 3_000
SPAN = timedelta(hours=1)

Key = TypeVar("Key", bound=Hashable)

Visible = Callable[[QuerySet[Any], str], QuerySet[Any]]


@dataclass(frozen=True, slots=True)
class Spread:
    """How long something takes: the half of all takes at most ``p50``, 95 of 100 at most ``p95``."""

    count: int
    p50: str
    p95: str
    longest: timedelta
    failed: int = 0

    @classmethod
    def of(cls, spans: Sequence[timedelta], failed: int = 0) -> Spread:
        """Return the spread of some durations, at least one."""
        ordered = sorted(spans)
        p50, p95 = (ordered[min(len(ordered) - 1, len(ordered) * part // 100)] for part in (50, 95))
        return cls(len(ordered), compact(p50), compact(p95), ordered[-1], failed)


@dataclass(frozen=True, slots=True)
class Lately:
    """What the runs of one workflow have done in the past hour, as far as the sample reaches back."""

    ended: int = 0
    failed: int = 0
    steps: Mapping[str, Spread] = field(default_factory=dict)

    @property
    def failure_rate(self) -> str:
        """Of the runs that ended, the part that failed."""
        return f"{self.failed / self.ended:.0%}" if self.ended else ""


def _all(rows: QuerySet[Any], run: str) -> QuerySet[Any]:
    return rows


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of the page of workflows.

    Attributes:
        active: how many runs of each workflow are in each status that is not an end, and failed.
        capped: the statuses of which there are more runs than were counted.
        span: how far back the sample of the past hour reaches.
        waits: how long the waits of a (workflow, step, what) took that ended lately.
        waiting: how many runs wait at a (workflow, step, what), and since when the first does.
    """

    active: Mapping[str, Mapping[str, int]]
    capped: frozenset[str]
    span: timedelta
    lately: Mapping[str, Lately]
    waits: Mapping[tuple[str, str, str], Spread]
    waiting: Mapping[tuple[str, str, str], tuple[int, datetime]]


def figures(now: datetime, using: str, visible: Visible = _all) -> Figures:
    """Read the newest rows, in a few statements whose cost does not grow with the tables.

    Args:
        now: the present moment.
        using: the database of the runs.
        visible: leaves of some rows those whose runs the user may know of; it gets the name of the field, too, that
            holds the run's number.
    """
    active, capped = _active(visible(WorkflowRun.objects.using(using), "pk"))
    lately, span = _lately(now, using, visible)
    return Figures(active, capped, span, lately, _waits(using, visible), _waiting(using, visible))


def _active(runs: QuerySet[WorkflowRun]) -> tuple[dict[str, dict[str, int]], frozenset[str]]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    capped = set()
    for status in (RUNNING, SUSPENDED, FAILED):
        counts = _counts_of_newest(runs.filter(status=status))
        if sum(counts.values()) == CAP:
            capped.add(str(status))
        for name, count in counts.items():
            found[name][str(status)] = count
    return found, frozenset(capped)


def _counts_of_newest(runs: QuerySet[WorkflowRun]) -> dict[str, int]:
    """Return the number of runs of each workflow among the newest CAP of some runs."""
    newest = runs.order_by("-pk").values("name")[:CAP]
    statement, params = newest.query.get_compiler(runs.db).as_sql()
    with connections[runs.db].cursor() as cursor:
        counts = f"SELECT name, COUNT(*) FROM ({statement}) AS newest GROUP BY name"  # noqa: S608 - no data in it
        cursor.execute(counts, params)
        return dict(cursor.fetchall())


def _lately(now: datetime, using: str, visible: Visible) -> tuple[dict[str, Lately], timedelta]:
    visits = visible(StepExecution.objects.using(using), "run").order_by("-pk")
    sample = list(
        visits.values_list(
            "run_id", "run__name", "run__status", "run__finished_at", "step_name", "status", "started_at", "created_at"
        )[:SAMPLE]
    )
    # Where the sample is full, the hour may have begun before it.
    since = max(now - SPAN, sample[-1][-1]) if len(sample) == SAMPLE else now - SPAN
    recent = [row for row in sample if row[-1] >= since]
    ended = {row[0]: (row[1], row[2]) for row in recent if row[2] in FINAL and row[3] and row[3] >= since}
    ends = Counter(name for name, _ in ended.values())
    failures = Counter(name for name, status in ended.values() if status == FAILED)
    visits_of_steps = [(row[1], row[4], row[5], row[6], row[7]) for row in recent]
    steps = _steps([*visits_of_steps, *_visits_before_waits(since, using, visible)])
    names = {*ends, *steps}
    return {name: Lately(ends[name], failures[name], steps.get(name, {})) for name in names}, now - since


def _visits_before_waits(
    since: datetime, using: str, visible: Visible
) -> Iterator[tuple[str, str, str, datetime, datetime]]:
    """Yield the visits that ended by waiting, which have no row of their own."""
    waits = (
        visible(PastWait.objects.using(using), "run")
        .order_by("-pk")
        .values_list("run__name", "step_name", "visit__started_at", "started_at")
    )
    for name, step, started, ended in waits[:SAMPLE]:
        if started and ended >= since:
            yield name, step, "completed", datetime.fromisoformat(started), ended


def _steps(rows: Iterable[Sequence[Any]]) -> dict[str, dict[str, Spread]]:
    spans: dict[tuple[str, str], list[timedelta]] = defaultdict(list)
    failed: Counter[tuple[str, str]] = Counter()
    for name, step, status, started, ended in rows:
        spans[name, step].append(ended - started)
        failed[name, step] += status == FAILED
    found: dict[str, dict[str, Spread]] = defaultdict(dict)
    for (name, step), durations in spans.items():
        found[name][step] = Spread.of(durations, failed[name, step])
    return found


def _waits(using: str, visible: Visible) -> dict[tuple[str, str, str], Spread]:
    spans: dict[tuple[str, str, str], list[timedelta]] = defaultdict(list)
    waits = visible(PastWait.objects.using(using), "run").order_by("-pk")
    for name, step, kind, what, start, end in waits.values_list(
        "run__name", "step_name", "kind", "name", "started_at", "ended_at"
    )[:SAMPLE]:
        spans[name, step, _what(kind, what)].append(end - start)
    return _longest_first({key: Spread.of(durations) for key, durations in spans.items()})


def _longest_first(found: Mapping[Key, Spread]) -> dict[Key, Spread]:
    return dict(sorted(found.items(), key=lambda item: item[1].longest, reverse=True))


def _waiting(using: str, visible: Visible) -> dict[tuple[str, str, str], tuple[int, datetime]]:
    found: dict[tuple[str, str, str], tuple[int, datetime]] = {}
    waits = visible(Suspension.objects.using(using), "run").order_by("pk")
    for name, step, kind, what, since in waits.values_list(
        "run__name", "run__current_step", "kind", "name", "created_at"
    )[:SAMPLE]:
        key = (name, step, _what(kind, what))
        count, first = found.get(key, (0, since))
        found[key] = (count + 1, min(first, since))
    return found


def _what(kind: str, name: str) -> str:
    return f"{kind} {name}".strip()
