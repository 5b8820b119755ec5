"""`workflows retry`: run the failed step of failed runs again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import Q

from ...machine.statuses import FAILED
from ...models import RETRYABLE
from ...runtime.engine import engine
from .. import bulk
from .base import Subcommand, add_json


class RetryRuns(Subcommand):
    """Takes failed runs up again."""

    help = (
        "take crashed runs up again at the step that failed; the exit code is 1 where one refused."
        " Runs that ended by fail(), and children whose parent no longer waits, are left out of --all"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        bulk.add_choice(parser)
        parser.add_argument(
            "--force", action="store_true", help="repeat the one run that is named, also if it ended by fail()"
        )
        add_json(parser)

    def handle(self, **options: Any) -> int:
        if options["force"] and (options["all"] or len(options["runs"]) != 1):
            raise CommandError("--force repeats what a workflow decided: name exactly one run with it.")
        done = bulk.do(
            options,
            self.console,
            verb="Retry",
            within=RETRYABLE,
            among=Q(status=FAILED),
            act=lambda run_id: engine.retry(run_id, force=options["force"]),
        )
        return bulk.tell(done, self.console, what="taken up again", as_json=options["json"])
