"""The workload "orm" as a chain of Celery tasks in a Django project, each in a transaction: what most projects have.

A task that is lost between its commit and the next message is not sent again: nothing here is durable.
"""

from __future__ import annotations

import os
from typing import Any

import django
from celery import Celery

from benchmarks.marks import mark

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.peers.own.settings")

app = Celery("bench_orm")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.task_ignore_result = True
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import transaction  # noqa: E402

from benchmarks.peers.own.models import book, open_account  # noqa: E402


def prepare() -> None:
    """Make the tables."""
    call_command("migrate", run_syncdb=True, verbosity=0)


@app.task(name="book")
def book_step(key: str, left: int = 10) -> None:
    with transaction.atomic():
        book(key, left)
    if left > 1:
        book_step.delay(key, left - 1)
    else:
        mark("done", key)


class Client:
    """Sends the first task of a chain; the mark of the last task is taken for the chain's end."""

    def start(self, workflow: str, key: str, **params: Any) -> None:
        open_account(key)
        book_step.delay(key)

    def is_completed(self, run: object) -> bool:
        return True

    def unfinished(self) -> int:
        return 0
