"""`workflows cleanup`: delete what has been finished for longer than it is kept."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ....conf import settings
from ...authoring.registry import registry
from ...runtime import retention
from .. import arguments
from ..console import counted
from .base import Subcommand, add_json


class Cleanup(Subcommand):
    """Deletes finished runs and old events."""

    help = "delete finished runs and old events that have been kept long enough, in batches"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--before",
            metavar="TIME",
            help="what finished before then, whatever the settings say: 90d ago, or a date",
        )
        parser.add_argument("--batch-size", type=int, help="rows that one transaction deletes")
        parser.add_argument("--dry-run", action="store_true", help="only count what would be deleted")
        add_json(parser)

    def handle(self, **options: Any) -> int:
        before = arguments.moment(options["before"], "--before") if options["before"] else None
        if options["batch_size"] is not None and options["batch_size"] < 1:
            raise CommandError("--batch-size must be 1 or more.")
        if before is None and not _is_configured():
            raise CommandError(
                "Nothing says how long runs are kept: set DJANGO_AI['RETENTION_DAYS'] or a workflow's retention=,"
                " or give --before."
            )
        done = retention.cleanup(
            before=before, batch_size=options["batch_size"], dry_run=options["dry_run"], progress=self._progress
        )
        self.console.end_progress()
        self._tell(done, **options)
        return 0

    def _progress(self, done: retention.Cleaned) -> None:
        # How much there is in all would take as long to count as to delete.
        self.console.counter(f"{counted(done.runs, 'run')} and {counted(done.events, 'event')} deleted")

    def _tell(self, done: retention.Cleaned, *, json: bool, dry_run: bool, **_: Any) -> None:
        if json:
            self.console.json({**asdict(done), "dry_run": dry_run})
            return
        verb = "would be" if dry_run else "were"
        runs, events = counted(done.runs, "run"), counted(done.events, "event")
        self.console.line(f"{runs} and {events} {verb} deleted.", "SUCCESS")
        if done.kept:
            self.console.line(
                f"Kept, since a model of the project protects it: {counted(done.kept, 'run')}.", "WARNING"
            )


def _is_configured() -> bool:
    return settings.RETENTION_DAYS is not None or any(definition.retention for definition in registry)
