"""Connects what listens to runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from ...conf import settings
from ..runtime import notices
from ..runtime.hearing import Listener
from ..signals import Signals
from .lines import Lines


def install() -> None:
    """Have log lines written, signals sent, and, where the project has them, spans recorded and metrics counted."""
    notices.listeners[:] = [Lines(), Signals(), *_optional()]


def _optional() -> Iterator[Listener]:
    with suppress(ImportError):  # without the extra "otel"
        from .tracing import Tracing

        yield Tracing()
    if settings.METRICS:
        with suppress(ImportError):  # a system check says what to install
            from .metrics import Metrics

            yield Metrics()


def serve_metrics() -> None:
    """Serve what this worker counts, where the project wants that."""
    if settings.METRICS and settings.METRICS_PORT is not None:
        from .serving import serve

        serve()
