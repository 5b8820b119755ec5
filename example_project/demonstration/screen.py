"""How the demonstration shows its runs: a live table in a terminal, plain lines elsewhere."""

from collections.abc import Iterable
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .scenario import Line

STYLES = {"completed": "green", "failed": "red", "cancelled": "red", "suspended": "yellow", "running": "cyan"}


class Screen(Protocol):
    """Shows the runs each time they are looked at."""

    def show(self, lines: list[Line]) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...


class PlainScreen:
    """Prints a line whenever a run has moved."""

    def __init__(self) -> None:
        self._before: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, lines: list[Line]) -> None:
        for line in lines:
            text = f"{line.status:<10} {line.progress:>4.0%}  {line.step}"
            if self._before.get(line.title) != text:
                self._before[line.title] = text
                print(f"{line.title:<25} {text}  {line.news}".rstrip(), flush=True)


class LiveScreen:
    """Draws a table with a bar for each run, again and again."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._live = Live(console=Console(), auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, lines: list[Line]) -> None:
        parts: list[RenderableType] = [_table(lines), Text(footer(lines, self._url))]
        self._live.update(Group(*parts), refresh=True)


def footer(lines: list[Line], url: str, *, stays: bool = True) -> str:
    """Say how far all of it is, and what a person can do where."""
    asking = [line for line in lines if line.is_settled and line.answer_page]
    moving = sum(not line.is_settled for line in lines)
    completed = len(lines) - len(asking) - moving
    text = f"\n{completed} of {len(lines)} have ended, {moving} move, {len(asking)} wait for a person."
    if not stays:
        return text
    pages = "".join(f"\n  {line.title}: {url}{line.answer_page}" for line in asking)
    here = f"\nThe shop is at {url}/ and Ctrl-C stops everything."
    return f"{text}{' Open' if pages else ''}{pages}{here}"


def _table(lines: Iterable[Line]) -> Table:
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("Run", no_wrap=True)
    table.add_column("Workflow", style="dim", no_wrap=True)
    table.add_column("Step", no_wrap=True, ratio=3)
    table.add_column("Progress", width=14)
    table.add_column("Status", no_wrap=True)
    table.add_column("", style="dim", no_wrap=True, ratio=4)
    for line in lines:
        table.add_row(*_cells(line))
    return table


def _cells(line: Line) -> tuple[RenderableType, ...]:
    return (
        line.title,
        line.run["workflow"],
        line.step,
        ProgressBar(total=1, completed=line.progress, width=14),
        Text(line.status, style=STYLES.get(line.status, "")),
        line.news,
    )
