"""The pytest plugin: the fixture ``workflows``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import Workflows


@pytest.fixture
def workflows(db: None) -> Iterator[Workflows]:
    """Drive workflows by hand: ``drain()`` runs what is due, ``advance(timedelta)`` moves the clock."""
    from .testing import workflow_testing

    with workflow_testing() as kit:
        yield kit
