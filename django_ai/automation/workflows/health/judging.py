"""From facts to a report: what is well, what is not, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from .facts import MOST, Backlog, Facts, Part
from .report import Check, Grade, Report, Thresholds


def judge(facts: Facts, limits: Thresholds) -> Report:
    """Return the report that these facts deserve."""
    if facts.database:
        return Report(checks=(_database(facts, limits), _broker(facts, limits)))
    found = (check for judging in _CHECKS for check in judging(facts, limits))
    return Report(checks=tuple(found), at=facts.now)


def spoken(span: timedelta) -> str:
    """Return a time span in one or two units: ``3 s``, ``2 min``, ``1 h 5 min``, ``3 d``."""
    seconds = max(span.total_seconds(), 0)
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    first = next(index for index, (amount, _) in enumerate(units) if amount)
    return " ".join(f"{amount} {unit}" for amount, unit in units[first : first + 2] if amount)


def _database(facts: Facts, limits: Thresholds) -> Check:
    if not facts.database:
        return Check(name="database", grade=Grade.OK, value="answers")
    return Check(
        name="database",
        grade=Grade.FAIL,
        value=facts.database,
        advice="Start the database, or correct DATABASES; if a table is missing, run manage.py migrate.",
    )


def _broker(facts: Facts, limits: Thresholds) -> Check:
    if not facts.broker:
        return Check(name="broker", grade=Grade.OK, value=f"answers at {facts.broker_address}")
    return Check(
        name="broker",
        grade=Grade.FAIL,
        value=f"{facts.broker_address}: {facts.broker}",
        advice="Start the broker, or correct CELERY_BROKER_URL. What was started meanwhile is kept and sent later.",
    )


def _beat(facts: Facts, limits: Thresholds) -> Iterator[Check]:
    silence = _silence(facts.beat, facts)
    ticks = "has never ticked" if silence is None else f"last tick was sent {spoken(silence)} ago"
    # A tick that arrived was sent, though beat could not write that down.
    alive = any(_alive(part, facts, limits) for part in (facts.beat, facts.tick))
    yield Check(
        name="beat",
        grade=Grade.OK if alive else Grade.FAIL,
        value=ticks,
        advice="" if alive else f"Start beat: celery -A {facts.project} beat",
        data=_data(silence_seconds=silence),
    )


def scheduler_check(facts: Facts, limits: Thresholds) -> Check:
    """Return the check on the scheduler's passes, which need beat and a worker: without them nothing moves."""
    silence, alive = _silence(facts.tick, facts), _alive(facts.tick, facts, limits)
    return Check(
        name="scheduler",
        grade=Grade.OK if alive else Grade.FAIL,
        value="no pass has ever ended" if silence is None else f"last pass ended {spoken(silence)} ago",
        advice="" if alive else _why_no_pass(facts, limits),
        data=_data(silence_seconds=silence),
    )


def _why_no_pass(facts: Facts, limits: Thresholds) -> str:
    if not _alive(facts.beat, facts, limits):
        return f"Start beat: celery -A {facts.project} beat. It sends the ticks that a worker passes on."
    queue = facts.tick_queue
    return (
        f"Beat sends the ticks, but no worker takes them from queue {queue!r}: {_worker(queue, facts)}"
        " If one runs, its log says why a tick fails."
    )


def _workers(facts: Facts, limits: Thresholds) -> Iterator[Check]:
    for queue, part in facts.queues:
        yield _queue(queue, part, facts, limits)


def _queue(queue: str, part: Part, facts: Facts, limits: Thresholds) -> Check:
    said = _state_of(queue, part, facts, limits)
    return Check(
        name=f"workers of {queue}",
        grade=said.grade,
        value=said.value,
        advice=said.advice,
        data={
            "queue": queue,
            "lag_seconds": part.lag,
            **_data(silence_seconds=_silence(part, facts), owes_seconds=said.owes),
        },
    )


@dataclass(frozen=True, slots=True)
class _Said:
    grade: Grade
    value: str
    advice: str = ""
    owes: timedelta | None = None


def _state_of(queue: str, part: Part, facts: Facts, limits: Thresholds) -> _Said:
    assert facts.now is not None
    silence, owes = _silence(part, facts), (facts.now - part.asked_at if part.asked_at else None)
    heard = "never answered" if silence is None else f"answered {spoken(silence)} ago"
    lag = timedelta(seconds=part.lag or 0)
    if owes is not None and owes > limits.silent:
        return _Said(Grade.FAIL, f"{heard}; asked {spoken(owes)} ago", _worker(queue, facts), owes)
    if silence is None or silence > limits.silent:
        # Whoever is not asked cannot answer; the tick itself is a question to its own queue.
        if queue == facts.tick_queue and _alive(facts.beat, facts, limits):
            return _Said(Grade.FAIL, f"{heard}; takes no ticks", _worker(queue, facts), owes)
        return _Said(Grade.WARN, f"{heard}; nobody asks", "Not known: the scheduler asks, and it does not run.", owes)
    if max(lag, owes or lag) > limits.late:
        late = max(lag, owes or lag)
        return _Said(
            Grade.FAIL if late > limits.stuck else Grade.WARN,
            f"messages wait {spoken(late)}",
            f"Start more workers for queue {queue!r}, or give them more --concurrency.",
            owes,
        )
    return _Said(Grade.OK, f"{heard}, messages wait {spoken(lag)}", "", owes)


def _worker(queue: str, facts: Facts) -> str:
    return f"start one: celery -A {facts.project} worker -Q {queue}."


def _behind(name: str, what: str, advice: str) -> Callable[[Facts, Thresholds], Iterator[Check]]:
    def judging(facts: Facts, limits: Thresholds) -> Iterator[Check]:
        backlog: Backlog = getattr(facts, name)
        late = _ago(backlog.since, facts) or timedelta()
        grade = Grade.FAIL if late > limits.stuck else Grade.WARN if late > limits.late else Grade.OK
        value = f"{_some(backlog)} {what}, the oldest since {spoken(late)}" if backlog.count else "none waits"
        data = {"count": backlog.count, **_data(oldest_seconds=late)}
        yield Check(name=name, grade=grade, value=value, advice=advice if grade else "", data=data)

    return judging


def _stuck(facts: Facts, limits: Thresholds) -> Iterator[Check]:
    count, runs = facts.stuck.count, ", ".join(f"#{run_id}" for run_id in facts.stuck_runs)
    more = " …" if runs and count > len(facts.stuck_runs) else ""
    yield Check(
        name="stuck runs",
        grade=Grade.FAIL if count else Grade.OK,
        value=f"{_some(facts.stuck)}{runs and ': '}{runs}{more}" if count else "none",
        advice=f"{_STUCK}{_childless(facts)}" if count else "",
        data={"count": count, "runs": list(facts.stuck_runs)},
    )


_STUCK = "Mend what fails above: then they go on by themselves. See manage.py workflows list --stuck."


def _childless(facts: Facts) -> str:
    if not facts.without_child:
        return ""
    named = ", ".join(f"#{run_id}" for run_id in facts.without_child)
    return f" The child of {named} was deleted: the scheduler tells the parent, which needs a worker that has its code."


_CHECKS: tuple[Callable[[Facts, Thresholds], Iterator[Check]], ...] = (
    lambda facts, limits: iter((_database(facts, limits),)),
    lambda facts, limits: iter((_broker(facts, limits),)),
    _beat,
    lambda facts, limits: iter((scheduler_check(facts, limits),)),
    _workers,
    _behind("steps", "steps wait for a worker", "Start more workers, or look into their logs."),
    _behind("timers", "timers are due", "Beat wakes them, worker by worker: see beat and scheduler above."),
    _behind("messages", "messages wait to be delivered", "Workers deliver them: see their checks above."),
    _behind("events", "events are due", "Start beat: its entry django_ai.events.tick lets them occur."),
    _stuck,
)


def _some(backlog: Backlog) -> str:
    return f"{backlog.count:,}{' or more' if backlog.count >= MOST else ''}"


def _silence(part: Part, facts: Facts) -> timedelta | None:
    return _ago(part.at, facts)


def _alive(part: Part, facts: Facts, limits: Thresholds) -> bool:
    silence = _silence(part, facts)
    return silence is not None and silence <= limits.silent


def _ago(moment: datetime | None, facts: Facts) -> timedelta | None:
    if moment is None or facts.now is None:
        return None
    return max(facts.now - moment, timedelta())


def _data(**spans: timedelta | None) -> dict[str, float | None]:
    return {name: round(span.total_seconds(), 3) if span is not None else None for name, span in spans.items()}
