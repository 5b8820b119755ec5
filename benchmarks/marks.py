"""Marks: workflow code says when it got somewhere, the measuring process reads it.

A mark is a line appended to a file: cheap (2 µs), never blocking, from any number of processes. It carries
the monotonic clock, which all processes of a Linux machine share.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "BENCH_MARKS"


@dataclass(frozen=True)
class Mark:
    """A point that the workflow with this key reached, and when (seconds of the monotonic clock)."""

    point: str
    key: str
    at: float


def mark(point: str, key: str) -> None:
    """Say that the workflow with this key is at this point now."""
    line = f"{point} {key} {time.monotonic():.6f}\n".encode()
    os.write(_file(), line)


_descriptors: dict[int, int] = {}


def _file() -> int:
    # One per process: a forked child shares its parent's descriptor, which append mode allows, but not
    # its parent's memory of having opened it.
    pid = os.getpid()
    if pid not in _descriptors:
        _descriptors[pid] = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    return _descriptors[pid]


class MarksMissing(AssertionError):
    """The marks that were waited for did not come in time; the message says how many did."""


class Tape:
    """Reads the marks in the order in which they were made."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._rest = b""
        self.seen: list[Mark] = []

    def wait(self, point: str, keys: set[str], *, seconds: float = 120, every: float = 0.001) -> dict[str, float]:
        """Return when each of these workflows was at a point, having waited for all. Raises MarksMissing."""
        deadline = time.monotonic() + seconds
        found: dict[str, float] = {}
        position = 0
        while len(found) < len(keys):
            self._read()
            fresh, position = self.seen[position:], len(self.seen)
            found.update({one.key: one.at for one in fresh if one.point == point and one.key in keys})
            if time.monotonic() > deadline:
                raise MarksMissing(f"{len(found)} of {len(keys)} came to {point!r} within {seconds} s")
            if len(found) < len(keys):
                time.sleep(every)
        return found

    def _read(self) -> None:
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        self.seen.extend(_parsed(lines))

    def close(self) -> None:
        self._file.close()


def _parsed(lines: list[bytes]) -> Iterator[Mark]:
    for line in lines:
        point, key, at = line.decode().split()
        yield Mark(point, key, float(at))
