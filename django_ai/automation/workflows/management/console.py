"""What commands print: aligned tables, colours where the terminal has them, progress, and JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.management.base import OutputWrapper
from django.core.serializers.json import DjangoJSONEncoder

from ..machine.statuses import WorkflowStatus

# A progress bar of this many characters.
BAR = 24

_STATUS_COLOURS = {
    WorkflowStatus.COMPLETED: "SUCCESS",
    WorkflowStatus.FAILED: "ERROR",
    WorkflowStatus.CANCELLED: "NOTICE",
    WorkflowStatus.SUSPENDED: "WARNING",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its heading, and how the text of a row is coloured."""

    heading: str
    colour: Callable[[Any], str] = lambda row: ""
    right: bool = False


class Console:
    """Writes for people, or JSON for programs."""

    def __init__(self, stdout: OutputWrapper, stderr: OutputWrapper, style: Any) -> None:
        self._out = stdout
        self._err = stderr
        self._style = style

    @property
    def is_interactive(self) -> bool:
        """Whether somebody watches: progress is drawn for them alone."""
        return bool(self._err.isatty())

    def json(self, data: object) -> None:
        """Write data as indented JSON."""
        self._out.write(json.dumps(data, indent=2, cls=DjangoJSONEncoder, ensure_ascii=False))

    def line(self, text: str = "", colour: str = "") -> None:
        """Write a line, in a colour of Django's palette: SUCCESS, WARNING, ERROR or NOTICE."""
        self._out.write(self._paint(text, colour))

    def heading(self, text: str) -> None:
        """Write a heading after an empty line."""
        self._out.write("")
        self._out.write(self._style.MIGRATE_HEADING(text))

    def note(self, text: str) -> None:
        """Write a line that is no part of the result, to the error stream."""
        self._err.write(self._paint(text, "NOTICE"), _as_it_is)

    def pairs(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Write names with their values below one another; what is empty is left out."""
        shown = [(name, value) for name, value in pairs if value]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            self._out.write(f"{name:<{width}}  {value}")

    def table(self, columns: Sequence[Column], rows: Iterable[tuple[Any, Sequence[str]]]) -> None:
        """Write rows below headings, each cell as wide as its column needs.

        Args:
            columns: the headings.
            rows: what a row is about, which its colours are made of, and its texts. The last column
                is cut where the terminal ends.
        """
        found = [(about, [_one_line(text) for text in texts]) for about, texts in rows]
        widths = [
            max(len(column.heading), *(len(texts[index]) for _, texts in found)) if found else len(column.heading)
            for index, column in enumerate(columns)
        ]
        room = self._room(widths)
        self._out.write(
            self._style.MIGRATE_LABEL(self._row([c.heading.upper() for c in columns], columns, widths, room))
        )
        for about, texts in found:
            colours = [column.colour(about) for column in columns]
            self._out.write(self._row(texts, columns, widths, room, colours))

    def _row(
        self, texts: Sequence[str], columns: Sequence[Column], widths: Sequence[int], room: int | None,
        colours: Sequence[str] | None = None,
    ) -> str:  # fmt: skip
        cells = []
        for index, (text, column, width) in enumerate(zip(texts, columns, widths, strict=True)):
            last = index == len(columns) - 1
            shown = _cut(text, room) if last and room is not None else text
            padded = shown.rjust(width) if column.right else shown if last else shown.ljust(width)
            cells.append(self._paint(padded, colours[index]) if colours else padded)
        return "  ".join(cells).rstrip()

    def _room(self, widths: Sequence[int]) -> int | None:
        """Return how wide the last column may be, None where the output has no width."""
        if not self._out.isatty():
            return None
        return max(10, shutil.get_terminal_size().columns - sum(widths[:-1]) - 2 * (len(widths) - 1))

    def progress(self, part: float, text: str) -> None:
        """Draw how far something is, over what was drawn before; without a terminal nothing is drawn."""
        self.counter(f"{bar(part)} {text}")

    def counter(self, text: str) -> None:
        """Draw how far something is of which nobody knows the end."""
        if self.is_interactive:
            width = shutil.get_terminal_size().columns - 1
            self._err.write(f"\r{_cut(text, width):<{width}}\r", _as_it_is, ending="")
            self._err.flush()

    def end_progress(self) -> None:
        """Remove what `progress` drew."""
        if self.is_interactive:
            self._err.write("\r\033[K", _as_it_is, ending="")
            self._err.flush()

    def _paint(self, text: str, colour: str) -> str:
        return str(getattr(self._style, colour)(text)) if colour and text.strip() else text


def _as_it_is(text: str) -> str:
    # Django paints all that goes to the error stream as an error.
    return text


def status_colour(status: str) -> str:
    """Return the colour of a run's status."""
    return _STATUS_COLOURS.get(WorkflowStatus(status), "")


def bar(part: float) -> str:
    """Return a bar that is filled by this part (0 to 1), with its percentage."""
    filled = round(BAR * min(max(part, 0.0), 1.0))
    return f"[{'#' * filled}{'-' * (BAR - filled)}] {part:4.0%}"


def counted(count: int, what: str) -> str:
    """Return ``1 run`` or ``1,234 runs``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def age(span: timedelta) -> str:
    """Return how long ago something was, in its largest unit: ``3 s``, ``12 min``, ``5 h``, ``9 d``."""
    seconds = max(span.total_seconds(), 0.0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def took(span: timedelta) -> str:
    """Return a duration, exactly where it is short: ``45 ms``, ``2.02 s``, ``12 min``."""
    seconds = max(span.total_seconds(), 0.0)
    if seconds >= 60:
        return age(span)
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"
