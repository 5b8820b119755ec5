"""`workflows start`: start a run, and follow it to its end if asked to."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ...machine.statuses import COMPLETED, FINAL
from ...models import WorkflowRun
from ...runtime.engine import engine
from .. import arguments
from ..console import status_colour
from ..following import follow
from ..reading import as_data, error_of
from .base import Subcommand, add_json

# Exit codes of --wait, beside 0 for a run that completed.
ENDED_OTHERWISE = 1
NOT_IN_TIME = 3


class StartRun(Subcommand):
    """Starts one run."""

    help = "start a run; with --wait the exit code says how it ended: 0 completed, 1 failed or cancelled, 3 not in time"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("workflow", help="the workflow's name")
        parser.add_argument(
            "fields", nargs="*", metavar="key=text", help="a field of the context; key:=JSON for others"
        )
        parser.add_argument("--context", metavar="JSON", help="fields of the context as a JSON object")
        parser.add_argument("--key", help="idempotency key: the same key starts the same run once")
        parser.add_argument("--tag", action="append", default=[], help="a tag of the run; may be given several times")
        parser.add_argument("--owner", metavar="USER", help="whose run it is: a username or a primary key")
        parser.add_argument("--workflow-version", metavar="VERSION", help="by default the newest")
        parser.add_argument("--wait", action="store_true", help="follow the run until it has ended")
        parser.add_argument("--timeout", type=float, metavar="SECONDS", help="with --wait: at most so long")
        add_json(parser)

    def handle(self, **options: Any) -> int:
        version = options["workflow_version"]
        arguments.definition(options["workflow"], version)
        starter = engine.using(
            owner=arguments.user(options["owner"]) if options["owner"] is not None else None,
            idempotency_key=options["key"],
            tags=options["tag"],
            version=version,
        )
        fields = arguments.fields(options["context"], "--context", options["fields"])
        run = arguments.runs().get(pk=starter.start(options["workflow"], **fields).pk)
        if options["wait"]:
            run = self._follow(run, options["timeout"])
        self._tell(run, is_over=options["wait"], as_json=options["json"])
        return _code(run) if options["wait"] else 0

    def _follow(self, run: WorkflowRun, timeout: float | None) -> WorkflowRun:
        try:
            return follow(run.pk, self.console, timeout)
        except KeyboardInterrupt:
            self.console.end_progress()
            self.console.note(f"{run} goes on without being watched. See: workflows show {run.pk}")
            raise

    def _tell(self, run: WorkflowRun, *, is_over: bool, as_json: bool) -> None:
        if as_json:
            self.console.json(as_data(run))
        elif is_over:
            error = f": {error_of(run)}" if run.error else ""
            self.console.line(f"{run} is {run.status} at {run.current_step}{error}", status_colour(run.status))
        else:
            self.console.line(f"{run} is {run.status} at {run.current_step}.", "SUCCESS")


def _code(run: WorkflowRun) -> int:
    if run.status not in FINAL:
        return NOT_IN_TIME
    return 0 if run.status == COMPLETED else ENDED_OTHERWISE
