"""What all subcommands have in common."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.management.base import CommandParser

from ..console import Console


class Subcommand:
    """One thing to do to workflows from a terminal."""

    help: ClassVar[str]

    def __init__(self, console: Console) -> None:
        self.console = console

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments; ``handle`` gets them by name."""

    def handle(self, **options: Any) -> int:
        """Do it and return the exit code.

        Raises:
            CommandError: it cannot be done; the message says what to do instead.
        """
        raise NotImplementedError


def add_json(parser: CommandParser) -> None:
    """Let programs read the result."""
    parser.add_argument("--json", action="store_true", help="print JSON")
