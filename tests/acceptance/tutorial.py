"""Reads the tutorial as a person does: which files to write, which commands to enter, what to click."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"

_TOKENS = re.compile(
    r"""
    ^```\{code-block\}\ \S+\n
        :caption:\ `(?P<file>[^`]+)`(?:\ \(add\ at\ the\ (?P<where>top|end)\))?\n
        \n?(?P<text>.*?)^[ ]*```$
    | ^[ ]*```console\n(?P<console>.*?)^[ ]*```$
    | <(?P<url>http://[^>]+)>
    | \*\*(?P<button>[\w ]+)\*\*
    | “(?P<words>[^”]+)”
    | (?P<table>(?:^[ ]+\|.*\|\n)+)
    | (?P<stop>Stop\ (?:the\ server|it\ again))
    | (?P<mail>the\ link\ of\ the\ e-mail)
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True)
class Write:
    """Write a file, or add to its top or end."""

    path: str
    text: str
    where: str | None


@dataclass(frozen=True)
class Enter:
    """Enter a command; its output has these lines, in this order."""

    command: str
    output: tuple[str, ...]


@dataclass(frozen=True)
class Open:
    """Open a page; without an address, the one that the last e-mail links to."""

    url: str | None


@dataclass(frozen=True)
class Press:
    """Press a button."""

    button: str


@dataclass(frozen=True)
class Fill:
    """Fill in fields."""

    fields: dict[str, str]


@dataclass(frozen=True)
class See:
    """See a text on the page."""

    text: str


@dataclass(frozen=True)
class Stop:
    """Press Ctrl-C where the server runs."""


Action = Write | Enter | Open | Press | Fill | See | Stop


def actions(page: str) -> Iterator[Action]:
    """Yield what the tutorial tells to do, in its order."""
    # Bold words and quotations before the server runs are prose.
    running = False
    for found in _TOKENS.finditer(page):
        for action in _read(found):
            running = running or (isinstance(action, Enter) and "runworkflows" in action.command)
            if running or isinstance(action, Write | Enter):
                yield action


def _read(found: re.Match[str]) -> Iterator[Action]:
    yield from _READERS[found.lastgroup or ""](found)


def _fill(found: re.Match[str]) -> Iterator[Fill]:
    names, _, values = ([cell.strip() for cell in row.split("|")[1:-1]] for row in found["table"].splitlines())
    yield Fill(dict(zip(names, values, strict=True)))


def _commands(found: re.Match[str]) -> Iterator[Enter]:
    lines = [line.strip() for line in found["console"].splitlines()]
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield Enter(lines[start].removeprefix("$ "), tuple(lines[start + 1 : end]))


_READERS: dict[str, Callable[[re.Match[str]], Iterable[Action]]] = {
    "text": lambda found: [Write(found["file"], found["text"], found["where"])],
    "console": _commands,
    "url": lambda found: [Open(found["url"])],
    "button": lambda found: [Press(found["button"])],
    "words": lambda found: [See(found["words"])],
    "table": _fill,
    "stop": lambda found: [Stop()],
    "mail": lambda found: [Open(None)],
}
