"""`workflows list`: the newest runs, by status, workflow, age, tag, or those that are stuck."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from ...machine.statuses import FailureKind, WorkflowStatus
from ...models import WorkflowRun
from ...runtime.stuck import stuck
from .. import arguments
from ..console import Column, age, status_colour
from ..reading import as_data, error_of, status_of, waits_for
from .base import Subcommand, add_json

LONGEST_ERROR = 500


def add_filters(parser: CommandParser) -> None:
    """Declare the options by which runs are chosen."""
    statuses = WorkflowStatus.values
    parser.add_argument("--status", action="append", choices=statuses, help="only these; may be given several times")
    kinds = [kind.value for kind in FailureKind]
    parser.add_argument("--failure", choices=kinds, help="only runs that failed so: by fail(), a crash, a time-out")
    parser.add_argument("--workflow", metavar="NAME", help="only runs of this workflow")
    parser.add_argument("--tag", help="only runs with this tag")
    parser.add_argument("--since", metavar="TIME", help="only runs started since then: 30m, 2h, 7d ago, or a date")
    parser.add_argument("--stuck", action="store_true", help="only runs that should have moved and did not")


def filtered(options: dict[str, Any]) -> Any:
    """Return the runs that these options choose. Raises CommandError."""
    found = arguments.runs()
    if options["status"]:
        found = found.filter(status__in=options["status"])
    if options["failure"]:
        found = found.filter(status=WorkflowStatus.FAILED, failure_kind=options["failure"])
    if options["workflow"]:
        found = found.filter(name=arguments.workflow_name(options["workflow"]))
    if options["tag"]:
        found = found.filter(tags__name=options["tag"])
    if options["since"]:
        found = found.filter(created_at__gte=arguments.moment(options["since"], "--since"))
    if options["stuck"]:
        found = found.filter(pk__in=stuck(found.db))
    return found


class ListRuns(Subcommand):
    """Prints one line a run."""

    help = "list the newest runs"

    def add_arguments(self, parser: CommandParser) -> None:
        add_filters(parser)
        parser.add_argument("--limit", type=int, default=20, help="at most so many (default: 20; 0 for all)")
        add_json(parser)

    def handle(self, **options: Any) -> int:
        limit = options["limit"]
        if limit < 0:
            raise CommandError("--limit must be 0 or more.")
        found = filtered(options).defer("failures", "completion_display").order_by("-pk")
        runs = list(found[: limit + 1] if limit else found)
        shown, more = (runs[:limit], len(runs) > limit) if limit else (runs, False)
        if options["json"]:
            self.console.json([as_data(run) for run in shown])
            return 0
        if not shown:
            self.console.note("No run is like that.")
            return 0
        now = timezone.now()
        self.console.table(_COLUMNS, [(run, _row(run, now)) for run in shown])
        if more:
            self.console.note(f"There are more than {limit}: --limit shows further ones.")
        return 0


_COLUMNS = (
    Column("id", right=True),
    Column("workflow"),
    Column("status", colour=lambda run: status_colour(run.status)),
    Column("step"),
    Column("done", right=True),
    Column("try", right=True),
    Column("waits for"),
    Column("age", right=True),
    Column("error", colour=lambda run: "ERROR" if run.status == WorkflowStatus.FAILED else ""),
)


def _row(run: WorkflowRun, now: datetime) -> list[str]:
    return [
        str(run.pk),
        run.name,
        status_of(run),
        run.current_step,
        f"{run.progress:.0%}",
        str(run.attempt) if run.attempt > 1 else "",
        waits_for(run, now),
        age(now - run.created_at),
        error_of(run).partition("\n")[0][:LONGEST_ERROR],
    ]
