"""`workflows show`: one run, what it waits for, its context and all that it has been through."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from ...machine.statuses import FAILED
from ...masking import Mask, changes_in
from ...models import PastWait, Signal, SignalState, StepExecution, WaitOutcome, WorkflowRun
from ...runtime.by_hand import against_retry
from ...runtime.rows import numbers_of
from .. import arguments
from ..console import Column, age, bar, status_colour, took
from ..reading import as_data, error_of, status_of, takes, waits_for
from .base import Subcommand, add_json


@dataclass(frozen=True, slots=True)
class Station:
    """A visit of a step, or a wait, that has ended."""

    sequence: int
    step: str
    what: str
    outcome: str
    attempts: int
    started_at: datetime
    ended_at: datetime
    error: str

    def as_data(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {name: getattr(self, name) for name in self.__slots__}


class ShowRun(Subcommand):
    """Prints one run."""

    help = "show one run: where it stands, what it waits for, its context and its history"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", help="the run's id, or its idempotency key")
        parser.add_argument("--traceback-of-steps", action="store_true", help="print the tracebacks of failed attempts")
        add_json(parser)

    def handle(self, **options: Any) -> int:
        run = arguments.run(options["run"])
        executions, waits, messages = (
            list(run.step_executions.all()),
            list(run.past_waits.all()),
            list(run.signals.all()),
        )
        self.mask = Mask.of(run, changes_in(executions, waits, messages), messages)
        stations = sorted(_stations(executions, waits, self.mask), key=lambda station: station.sequence)
        if options["json"]:
            self.console.json(_data(run, stations, messages, self.mask))
            return 0
        self._head(run, timezone.now())
        self._context(run)
        self._history(stations)
        self._messages(messages)
        self._children(run)
        if options["traceback_of_steps"]:
            self._tracebacks(run, executions)
        return 0

    def _head(self, run: WorkflowRun, now: datetime) -> None:
        self.console.line(f"{run.name} #{run.pk} is {status_of(run)}", status_colour(run.status))
        ended = run.finished_at or now
        self.console.pairs([
            ("version", run.version),
            ("step", f"{run.current_step}{f', attempt {run.attempt}' if run.attempt > 1 else ''}"),
            ("progress", bar(run.progress)),
            ("waits for", waits_for(run, now)),
            ("takes", takes(run)),
            ("error", self.mask.text(run.error)),
            ("retry", against_retry(run) if run.status == FAILED else ""),
            ("key", self.mask.text(run.idempotency_key or "")),
            ("tags", ", ".join(tag.name for tag in run.tags.all())),
            ("owner", f"user {run.owner_id}" if run.owner_id is not None else ""),
            ("parent", f"#{run.parent_run_id}" if run.parent_run_id else "deleted" if run.parent_deleted else ""),
            ("started", f"{_time(run.created_at)}, {age(now - run.created_at)} ago"),
            ("ended", f"{_time(ended)}, after {took(ended - run.created_at)}" if run.finished_at else ""),
        ])  # fmt: skip

    def _context(self, run: WorkflowRun) -> None:
        if run.data:
            self.console.heading("Context")
            self.console.line(json.dumps(self.mask.data(run.data), indent=2, ensure_ascii=False, cls=DjangoJSONEncoder))

    def _history(self, stations: Sequence[Station]) -> None:
        if stations:
            self.console.heading("History")
            self.console.table(_STATIONS, [(station, _station_row(station)) for station in stations])

    def _messages(self, messages: Sequence[Signal]) -> None:
        found = [message for message in messages if message.state in (SignalState.PENDING, SignalState.REJECTED)]
        if found:
            self.console.heading("Messages in its inbox")
            self.console.table(
                _MESSAGES,
                [(m, [m.kind, m.name, m.state, _time(m.created_at), self.mask.text(m.error)]) for m in found],
            )

    def _children(self, run: WorkflowRun) -> None:
        children = list(run.child_runs.order_by("pk"))
        if children:
            self.console.heading("Children")
            self.console.table(
                _CHILDREN, [(c, [str(c.pk), c.name, c.status, c.current_step, error_of(c)]) for c in children]
            )

    def _tracebacks(self, run: WorkflowRun, executions: Sequence[StepExecution]) -> None:
        for execution in executions:
            self._failures(execution.step_name, execution.failures)
        self._failures(run.current_step, run.failures)

    def _failures(self, step: str, failures: Sequence[dict[str, Any]]) -> None:
        for failure in failures:
            self.console.heading(f"{step}, attempt {numbers_of(failure)}, {failure['at']}")
            self.console.line(self.mask.text(failure["traceback"] or failure["error"]))


_BAD = {"failed", WaitOutcome.TIMED_OUT}
_STATIONS = (
    Column("no", right=True),
    Column("step"),
    Column("what"),
    Column("outcome", colour=lambda station: "ERROR" if station.outcome in _BAD else "SUCCESS"),
    Column("tries", right=True),
    Column("started"),
    Column("took", right=True),
    Column("error", colour=lambda station: "ERROR"),
)
_MESSAGES = (Column("kind"), Column("name"), Column("state"), Column("sent"), Column("error"))
_CHILDREN = (
    Column("id", right=True),
    Column("workflow"),
    Column("status", colour=lambda child: status_colour(child.status)),
    Column("step"),
    Column("error"),
)


def _stations(executions: Sequence[StepExecution], waits: Sequence[PastWait], mask: Mask) -> Iterator[Station]:
    for row in executions:
        ran = (row.status, row.attempts, row.started_at, row.created_at, mask.text(row.error))
        yield Station(row.sequence, row.step_name, "step", *ran)
    for wait in waits:
        what = f"wait for {wait.kind} {wait.name}".rstrip()
        yield Station(wait.sequence, wait.step_name, what, wait.outcome, 0, wait.started_at, wait.ended_at, "")


def _station_row(station: Station) -> list[str]:
    return [
        str(station.sequence),
        station.step,
        station.what,
        station.outcome.replace("_", " "),
        str(station.attempts or ""),
        _time(station.started_at),
        took(station.ended_at - station.started_at),
        station.error.partition("\n")[0],
    ]


def _data(run: WorkflowRun, stations: Sequence[Station], messages: Sequence[Signal], mask: Mask) -> dict[str, Any]:
    return {
        **as_data(run),
        "error": mask.text(run.error),
        "tags": [tag.name for tag in run.tags.all()],
        "context": mask.data(run.data),
        "history": [station.as_data() for station in stations],
        "failures": [{**failure, **_masked(failure, mask)} for failure in run.failures],
        "inbox": [_of_message(message, mask) for message in messages],
        "children": list(run.child_runs.order_by("pk").values_list("pk", flat=True)),
    }


def _of_message(message: Signal, mask: Mask) -> dict[str, Any]:
    data = {name: getattr(message, name) for name in ("kind", "name", "state", "created_at")}
    return {"id": message.pk, **data, "error": mask.text(message.error)}


def _masked(failure: dict[str, Any], mask: Mask) -> dict[str, str]:
    return {name: mask.text(failure[name]) for name in ("error", "traceback")}


def _time(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}"
