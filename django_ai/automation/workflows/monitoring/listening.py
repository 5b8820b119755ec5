"""Connects what listens to runs."""

from __future__ import annotations

from ..runtime import notices
from ..signals import Signals
from .lines import Lines


def install() -> None:
    """Have log lines written and Django signals sent from now on."""
    notices.listeners[:] = [Lines(), Signals()]
