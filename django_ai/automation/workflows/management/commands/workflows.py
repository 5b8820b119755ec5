"""`manage.py workflows`: look at runs, start, signal, cancel and retry them, and see whether all is well."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...exceptions import WorkflowError
from ...models import WorkflowRun
from ..console import Console
from ..subcommands import SUBCOMMANDS


class Command(BaseCommand):
    """Hands over to the subcommand that the first argument names."""

    help = "Shows and moves the runs of workflows. `manage.py workflows list --help` describes one subcommand."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="subcommand")
        for name, subcommand in SUBCOMMANDS.items():
            own = actions.add_parser(name, help=subcommand.help, description=subcommand.help)
            subcommand(self._console()).add_arguments(own)
            _accept_common_options(own)

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            code = SUBCOMMANDS[action](self._console()).handle(**options)
        except (WorkflowError, WorkflowRun.DoesNotExist) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.stderr.write("Interrupted.")
            code = 130
        if code:
            sys.exit(code)

    def _console(self) -> Console:
        return Console(self.stdout, self.stderr, self.style)


def _accept_common_options(parser: CommandParser) -> None:
    """Take Django's options after the subcommand too, where people write them."""
    group = parser.add_argument_group("options of all commands")
    for flags, keywords in _COMMON:
        group.add_argument(*flags, default=argparse.SUPPRESS, **keywords)


_COMMON: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("-v", "--verbosity"), {"type": int, "choices": [0, 1, 2, 3], "help": argparse.SUPPRESS}),
    (("--settings",), {"help": argparse.SUPPRESS}),
    (("--pythonpath",), {"help": argparse.SUPPRESS}),
    (("--traceback",), {"action": "store_true", "help": "show the traceback of an error"}),
    (("--no-color",), {"action": "store_true", "help": "print without colours"}),
    (("--force-color",), {"action": "store_true", "help": "print colours though this is no terminal"}),
)
