"""Starts and watches the workflows as a web process does."""

from __future__ import annotations

from typing import Any

import django

from benchmarks.peers.own.celery import app

django.setup()

from django.core.management import call_command  # noqa: E402

from benchmarks.peers.own.models import open_account  # noqa: E402
from django_ai.automation.workflows.core import WorkflowStatus, engine  # noqa: E402
from django_ai.automation.workflows.models import WorkflowRun  # noqa: E402


def prepare() -> None:
    """Make the tables."""
    call_command("migrate", run_syncdb=True, verbosity=0)


class Client:
    """Uses the engine and, to look, its model."""

    def start(self, workflow: str, key: str, **params: Any) -> int:
        if workflow == "orm":
            open_account(key)
        return engine.start(workflow, key=key, **params).pk

    def start_many(self, workflow: str, keys: list[str]) -> None:
        engine.start_many(workflow, [{"key": key} for key in keys])

    def is_completed(self, run: int) -> bool:
        return WorkflowRun.objects.filter(pk=run, status=WorkflowStatus.COMPLETED).exists()

    def unfinished(self) -> int:
        return WorkflowRun.objects.filter(status=WorkflowStatus.RUNNING).count()

    def waiting(self) -> int:
        return WorkflowRun.objects.filter(status=WorkflowStatus.SUSPENDED).count()

    def signal(self, run: int, key: str) -> None:
        engine.signal("go", run=run)

    def broadcast(self) -> None:
        engine.signal("all")

    def messages(self) -> int:
        with app.connection_for_read() as connection:
            try:
                queue = connection.default_channel.queue_declare(app.conf.task_default_queue, passive=True)
            except connection.channel_errors:  # Redis has no empty queues
                return 0
        return int(queue.message_count)
