"""Watches a run until it has ended, with its progress."""

from __future__ import annotations

from time import monotonic, sleep

from django.db import close_old_connections

from ..machine.statuses import FINAL, RUNNING, SUSPENDED
from ..models import WorkflowRun
from . import arguments
from .console import Console
from .reading import awaited

# How often the run is looked at, in seconds.
LOOK_EVERY = 0.25


def follow(run_id: int, console: Console, timeout: float | None) -> WorkflowRun:
    """Return the run as it is when it has ended, or when ``timeout`` seconds are over."""
    until = None if timeout is None else monotonic() + timeout
    said = ""
    while True:
        run = arguments.runs().get(pk=run_id)
        words = _words(run)
        if console.is_interactive:
            console.progress(run.progress, words)
        elif words != said:
            console.note(f"{run.progress:4.0%} {words}")
        said = words
        if run.status in FINAL or (until is not None and monotonic() >= until):
            console.end_progress()
            return run
        sleep(LOOK_EVERY if until is None else min(LOOK_EVERY, max(0, until - monotonic())))
        close_old_connections()


def _words(run: WorkflowRun) -> str:
    words: dict[str, str] = {
        RUNNING: f"step {run.current_step}",
        SUSPENDED: f"step {run.current_step} waits for {awaited(run)}",
    }
    return f"{run}: {words.get(run.status, run.status)}"
