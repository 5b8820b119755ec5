"""`manage.py workflows`: look at runs, start, signal, cancel and retry them, and see whether all is well."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from ...exceptions import WorkflowError
from ...models import WorkflowRun
from .. import tables
from ..console import Console
from ..subcommands import SUBCOMMANDS

# The exit code that shells give a program whose reader has gone, as in `workflows list | head`.
READER_GONE = 141


class Command(BaseCommand):
    """Hands over to the subcommand that the first argument names."""

    help = "Shows and moves the runs of workflows. `manage.py workflows list --help` describes one subcommand."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(
            dest="action", required=True, metavar="subcommand", parser_class=_AnyOrderParser
        )
        for name, subcommand in SUBCOMMANDS.items():
            own = actions.add_parser(name, help=subcommand.help, description=subcommand.help)
            subcommand(self._console()).add_arguments(own)
            _accept_common_options(own)

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            code = SUBCOMMANDS[action](self._console()).handle(**options)
            self.stdout.flush()
        except (WorkflowError, WorkflowRun.DoesNotExist) as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            if tables.are_missing():
                raise CommandError(tables.MIGRATE) from error
            raise
        except BrokenPipeError:
            if self.stdout._out is sys.stdout:  # noqa: SLF001 - what Django wraps
                _discard_output()
            code = READER_GONE
        except KeyboardInterrupt:
            self.stderr.write("Interrupted.")
            code = 130
        if code:
            sys.exit(code)

    def _console(self) -> Console:
        return Console(self.stdout, self.stderr, self.style)


class _AnyOrderParser(CommandParser):
    """Takes options before, between and after the positional arguments."""

    _is_parsing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as argparse's intermixed parsing does, which on some versions calls this again for each part."""
        if self._is_parsing:
            return super().parse_known_args(args, namespace)
        self._is_parsing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_parsing = False


def _discard_output() -> None:
    # Python flushes at its end, and would complain once more.
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
