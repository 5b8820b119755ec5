"""`workflows health`: is a worker alive, does beat tick, how far behind are we, what is stuck."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ...health import Check, Grade, report
from ..console import Column
from .base import Subcommand, add_json

_COLOURS = {Grade.OK: "SUCCESS", Grade.WARN: "WARNING", Grade.FAIL: "ERROR"}
_COLUMNS = (
    Column("check"),
    Column("status", colour=lambda check: _COLOURS[check.grade]),
    Column("measured"),
)


class Health(Subcommand):
    """Prints the report on health; its grade is the exit code."""

    help = "say whether all is well; exit code 0 for ok, 1 for warnings, 2 for failures"

    def add_arguments(self, parser: CommandParser) -> None:
        add_json(parser)

    def handle(self, **options: Any) -> int:
        found = report()
        if options["json"]:
            self.console.json(found.as_dict())
        else:
            self.console.table(
                _COLUMNS, [(check, [check.name, check.grade.label, check.value]) for check in found.checks]
            )
            self._advise([check for check in found.checks if check.advice])
        return int(found.grade)

    def _advise(self, checks: list[Check]) -> None:
        if checks:
            self.console.heading("What to do")
        for check in checks:
            self.console.line(f"{check.name}: {check.advice}", _COLOURS[check.grade])
