"""The pytest plugin: the fixture ``workflows``, and a note on a failed test that forgot ``drain()``."""

from __future__ import annotations

from collections.abc import Generator, Iterator
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Add the note to a test that fails while no run has run."""
    try:
        return (yield)
    except Exception as error:
        _add_note(error, item)
        raise


def _add_note(error: Exception, item: pytest.Item) -> None:
    from django.apps import apps

    if not (apps.models_ready and apps.is_installed("django_ai.automation.workflows")):
        return
    try:
        from .testing import forgotten
    except ImportError:  # without the extra that brings time-machine
        return
    forgotten.add_note(error, has_kit="workflows" in getattr(item, "fixturenames", ()))
