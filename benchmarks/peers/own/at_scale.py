"""Fills the tables by copying real runs, and measures what must not grow with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection, models
from django.test import Client as Browser
from django.urls import reverse

from benchmarks.peers.own import client
from django_ai.automation.workflows.models import StepExecution, Suspension, WorkflowRun
from django_ai.automation.workflows.runtime import scheduler

# Spread over the past year and the coming month, as real ones are.
PAST = "now() - copy * interval '365 days' / {copies}"
COMING = "now() + interval '1 day' + random() * interval '30 days'"


def prepare() -> None:
    """Make the tables and a person who may see the admin."""
    call_command("migrate", run_syncdb=True, verbosity=0)
    get_user_model().objects.create_superuser("admin")


class Client(client.Client):
    """Starts runs as elsewhere; fills and looks besides."""

    def copy_finished(self, copies: int) -> None:
        """Add copies of a finished run, with its history."""
        original = WorkflowRun.objects.filter(name="child", status="completed").order_by("pk")[0]
        moments = dict.fromkeys(("created_at", "updated_at", "finished_at"), PAST.format(copies=max(copies, 1)))
        first = self._copy_run(original, copies, moments)
        for visit in original.step_executions.all():
            self._copy(StepExecution, visit.pk, copies, {"run_id": f"{first} + copy"})

    def copy_sleeping(self, copies: int) -> None:
        """Add copies of a run that sleeps."""
        original = WorkflowRun.objects.filter(name="sleeper", status="suspended").order_by("pk")[0]
        first = self._copy_run(original, copies, {})
        self._copy(Suspension, original.pk, copies, {"run_id": f"{first} + copy", "due_at": COMING})

    def tidy(self) -> int:
        """Leave the tables as autovacuum does in time; return the size of the database in bytes."""
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE)")
            cursor.execute("CHECKPOINT")
            cursor.execute("SELECT pg_database_size(current_database())")
            return int(cursor.fetchone()[0])

    def ticks(self, rounds: int) -> list[float]:
        """Return the seconds that each pass of the scheduler took; nothing is due."""
        return _timed(scheduler.tick, rounds)

    def pages(self, rounds: int) -> dict[str, list[float]]:
        """Return the seconds that each page of the admin took."""
        browser = Browser()
        browser.force_login(get_user_model().objects.get())
        listed = reverse("admin:django_ai_workflows_workflowrun_changelist")
        newest = WorkflowRun.objects.order_by("-pk")[0].pk
        addresses = {
            "list": listed,
            "list_search": f"{listed}?q=child",
            "run": reverse("admin:django_ai_workflows_workflowrun_change", args=[newest]),
        }
        return {
            name: _timed(lambda address=address: _get(browser, address), rounds) for name, address in addresses.items()
        }

    def _copy_run(self, original: WorkflowRun, copies: int, values: dict[str, str]) -> int:
        """Copy a run and return the key before the first copy's."""
        highest = WorkflowRun.objects.aggregate(highest=models.Max("pk"))["highest"]
        self._copy(WorkflowRun, original.pk, copies, {"id": f"{highest} + copy", **values})
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [WorkflowRun._meta.db_table, highest + copies]
            )
        return int(highest)

    def _copy(self, model: type[models.Model], original: Any, copies: int, values: dict[str, str]) -> None:
        key = model._meta.pk
        assert key
        columns = [
            field.column for field in model._meta.concrete_fields if field.column != key.column or key.column in values
        ]
        selected = [values.get(column, f'"{column}"') for column in columns]
        names = ", ".join(f'"{column}"' for column in columns)
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")  # the keys are right: they need no check
            cursor.execute(
                f'INSERT INTO "{model._meta.db_table}" ({names}) SELECT {", ".join(selected)}'
                f' FROM "{model._meta.db_table}", generate_series(1, %s) AS copy WHERE "{key.column}" = %s',
                [copies, original],
            )
            cursor.execute("RESET session_replication_role")


def _get(browser: Browser, address: str) -> None:
    answer = browser.get(address)
    assert answer.status_code == 200, (address, answer.status_code)


def _timed(action: Callable[[], object], rounds: int) -> list[float]:
    action()  # imports, caches and connections are no part of it
    times = []
    for _ in range(rounds):
        began = time.monotonic()
        action()
        times.append(time.monotonic() - began)
    return times
