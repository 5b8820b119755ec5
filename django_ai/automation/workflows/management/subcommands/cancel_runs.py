"""`workflows cancel`: end runs that have not ended, and their children."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Q

from ...machine.statuses import FINAL, WorkflowStatus
from ...runtime.engine import engine
from .. import bulk
from .base import Subcommand, add_json


class CancelRuns(Subcommand):
    """Cancels runs."""

    help = "cancel runs and their children; the exit code is 1 where one had ended already"

    def add_arguments(self, parser: CommandParser) -> None:
        bulk.add_choice(parser)
        parser.add_argument("--reason", default="", help="why; it becomes the run's error")
        add_json(parser)

    def handle(self, **options: Any) -> int:
        active = frozenset(WorkflowStatus) - FINAL
        done = bulk.do(
            options,
            self.console,
            verb="Cancel",
            within=Q(status__in=[str(status) for status in active]),
            act=lambda run_id: engine.cancel(run_id, options["reason"]),
        )
        return bulk.tell(done, self.console, what="cancelled", as_json=options["json"])
