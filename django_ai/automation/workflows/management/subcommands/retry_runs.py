"""`workflows retry`: run the failed step of failed runs again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ...machine.statuses import FAILED
from ...runtime.engine import engine
from .. import bulk
from .base import Subcommand, add_json


class RetryRuns(Subcommand):
    """Takes failed runs up again."""

    help = "take failed runs up again at the step that failed; the exit code is 1 where one has not failed"

    def add_arguments(self, parser: CommandParser) -> None:
        bulk.add_choice(parser)
        add_json(parser)

    def handle(self, **options: Any) -> int:
        failed = frozenset({str(FAILED)})
        done = bulk.do(options, self.console, verb="Retry", statuses=failed, act=engine.retry)
        return bulk.tell(done, self.console, what="taken up again", as_json=options["json"])
