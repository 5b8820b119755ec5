"""`manage.py events`: brings events in line with the data, or lets those occur that are due."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ... import reconciliation, scheduler


class Command(BaseCommand):
    """The scheduler's work by hand, and what is done once after an event was declared."""

    help = "Brings events in line with rows that were written without signals, or lets due events occur."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("reconcile", help="bring scheduled events in line with the rows of their models")
        actions.add_parser("tick", help="let everything occur that is due now")
        adopt = actions.add_parser("adopt", help="take rows for known for which an event's condition holds already")
        adopt.add_argument("name", help="the event: immediate, with a condition")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        getattr(self, f"_{action}")(**options)

    def _reconcile(self, **options: Any) -> None:
        self._end(f"{reconciliation.reconcile(self._report)} events corrected.")

    def _tick(self, **options: Any) -> None:
        self._end(f"{scheduler.occur_due()} events taken up.")

    def _adopt(self, name: str, **options: Any) -> None:
        try:
            self._end(f"{reconciliation.adopt(name, self._report)} rows taken for known.")
        except LookupError as error:
            raise CommandError(str(error)) from error

    def _report(self, what: str, seen: int) -> None:
        self.stdout.write(f"{what}: {seen} looked at", ending="\r" if self.stdout.isatty() else "\n")

    def _end(self, text: str) -> None:
        self.stdout.write(self.style.SUCCESS(text))
