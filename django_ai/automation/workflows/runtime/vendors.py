"""Which way of claiming and moving a run each database takes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Protocol, cast

from django.db import connections
from django.db.models import Model

from ..models import Signal, WorkflowRun
from . import pace, portable, postgresql, rows
from .pipe import Pipe
from .writes import Writes


class Way(Protocol):
    """What a module has that knows how to write to a database; ``portable`` says what each does."""

    def transaction(self, *, alone: bool, savepoint: bool = False) -> AbstractContextManager[None]: ...

    def is_untouched(self) -> bool: ...

    def claim(self, run_id: int, sequence: int, attempt: int) -> WorkflowRun | None: ...

    def read(self, run_id: int) -> WorkflowRun | None: ...

    def lock(self, run_id: int) -> WorkflowRun | None: ...

    def glances(self, run_ids: Sequence[int]) -> list[tuple[WorkflowRun, Signal | None]]: ...

    def pending(self, run_id: int) -> list[Signal]: ...

    def number(self, run: WorkflowRun) -> bool: ...

    def insert(self, new: Sequence[Model], batch_size: int) -> None: ...

    def write(self, writes: Writes) -> bool: ...

    def pipe(self) -> Pipe | None: ...

    def send(self, pipe: Pipe, writes: Writes) -> bool: ...

    def claim_another(self, places: Sequence[pace.Place], after: int) -> WorkflowRun | None: ...


# By Django's name of the database's vendor; all others take the portable way.
WAYS: dict[str, Way] = {"postgresql": cast(Way, postgresql)}


def way() -> Way:
    """Return how the database of the runs is written to."""
    return WAYS.get(_vendor(rows.alias()), cast(Way, portable))


@cache
def _vendor(database: str) -> str:
    return connections[database].vendor
