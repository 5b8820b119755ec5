"""The directive `command`: what a management command takes, read from its parser."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from django.core.management import get_commands, load_command_class
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from tables import markdown_table

# Options that every command of Django has, and those of runserver, which Django documents.
_COMMON = [
    "help",
    "version",
    "verbosity",
    "settings",
    "pythonpath",
    "traceback",
    "no_color",
    "force_color",
    "skip_checks",
]
_RUNSERVER = ["addrport", "use_ipv6", "use_threading", "use_reloader", "use_static_handler", "insecure_serving"]


class Command(SphinxDirective):
    """The arguments of a command, or of each of its subcommands, as tables."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
        place = nodes.Element()
        lines = StringList(list(_described(parser)), source=self.get_source_info()[0])
        self.state.nested_parse(lines, self.content_offset, place)
        return list(place.children)


def _described(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to read a parser
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            helps = {choice.dest: choice.help for choice in action._choices_actions}  # noqa: SLF001
            for name, inner in action.choices.items():
                yield from ("", f"**`{name}`**: {_text(helps.get(name))}", "", *_table(inner))
            return
    yield from _table(parser)


def _table(parser: argparse.ArgumentParser) -> list[str]:
    rows = [
        (
            ", ".join(f"`{name}`" for name in action.option_strings or [action.metavar or action.dest]),
            _text(action.help),
        )
        for action in parser._actions  # noqa: SLF001
        if action.dest not in (*_COMMON, *_RUNSERVER) and action.help is not argparse.SUPPRESS
    ]
    return markdown_table(("argument", ""), rows) if rows else []


def _text(text: str | None) -> str:
    return re.sub(r"(?<!`)--[a-z-]+", r"`\g<0>`", text or "")


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("command", Command)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
