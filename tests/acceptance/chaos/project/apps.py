"""The application's place in Django, and what its processes are told to do wrong."""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine
from django.apps import AppConfig
from django.db.backends.signals import connection_created

from django_ai.automation import broker


class ChaosConfig(AppConfig):
    name = "tests.acceptance.chaos.project"
    label = "chaos"

    def ready(self) -> None:
        connection_created.connect(sign)
        if os.environ.get("CHAOS_TWICE"):
            broker.publisher = Twice()
        if hours := os.environ.get("CHAOS_CLOCK"):
            # Not libfaketime: under it Python's own waits hang or fail.
            elsewhen = datetime.now(UTC) + timedelta(hours=float(hours))
            time_machine.travel(elsewhen, tick=True).start()


def sign(connection: Any, **_: Any) -> None:
    """Tell the database which process a connection belongs to, for the ledger of moves."""
    name = f"{os.environ.get('CHAOS_PROCESS', '?')}:{os.getpid()}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('application_name', %s, false)", [name])


class Twice(broker.CeleryPublisher):
    """A way to the broker on which each message is doubled."""

    def _send(self, task: str, args: tuple[Any, ...], **options: Any) -> None:
        for _ in range(2):
            super()._send(task, args, **options)
