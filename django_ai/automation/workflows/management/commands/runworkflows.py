"""`manage.py runworkflows`: the web server, a Celery worker and beat in one process."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from celery import Celery, current_app
from django.apps import apps
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands.runserver import Command as PlainRunServer
from django.db import connections
from kombu.utils.url import maybe_sanitize_url

from ....conf import settings
from ...authoring.registry import registry
from ...models import WorkflowRun
from ...runtime import rows
from .. import services, supervisor

if apps.is_installed("django.contrib.staticfiles"):
    from django.contrib.staticfiles.management.commands.runserver import Command as RunServer
else:
    RunServer = PlainRunServer  # type: ignore[misc,assignment]

# How long the steps that run may take to end when the process is asked to stop. One that takes
# longer is abandoned as in a crash: its lease brings it back.
GRACE_SECONDS = 10.0

NO_APP = """Celery has no app in this process. Write it in the package of your project, beside settings.py:

    # celery.py
    import os
    from celery import Celery

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")
    app = Celery("{project}")
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.autodiscover_tasks()

    # __init__.py
    from .celery import app as celery_app
"""

SQLITE_HINT = """This SQLite database will lose steps to "database is locked" under load. Add to its DATABASES entry:
  "OPTIONS": {
      "transaction_mode": "IMMEDIATE",
      "timeout": 20,
      "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
  }"""


class Command(RunServer):
    """Runs web, worker and beat in one process, for development and demonstrations."""

    addr: str
    _raw_ipv6: bool

    help = (
        "Runs everything that workflows need in one process: the web server (as runserver does, with"
        " all its options), a Celery worker and beat. Needs no server at all with CELERY_BROKER_URL"
        " = 'memory://'; uses the broker that is configured otherwise."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--concurrency", type=int, default=4, help="How many steps run at the same time (default: 4)."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["concurrency"] < 1:
            raise CommandError("--concurrency must be at least 1.")
        self._app = _celery_app()
        self._broker = services.prepare_broker(self._app)
        _check_tables()
        super().handle(*args, **options)

    def run(self, **options: Any) -> None:
        if options["use_reloader"] and not supervisor.is_child():
            sys.exit(supervisor.supervise())
        self._services: services.Services | None = None
        self._concurrency = options["concurrency"]
        signal.signal(signal.SIGTERM, _leave)
        # A script starts its background jobs with SIGINT ignored, and Python leaves it so.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code: Any = 0
        try:
            super().run(**options)
        except KeyboardInterrupt:
            pass
        except SystemExit as leaving:
            code = leaving.code
        self._stop(code)
        sys.exit(code)

    def on_bind(self, server_port: int) -> None:
        """Start worker and beat once the port is ours."""
        self._services = services.Services(self._app, concurrency=self._concurrency)
        self._services.start()
        self._introduce(server_port)

    def _introduce(self, port: int) -> None:
        host = f"[{self.addr}]" if self._raw_ipv6 else self.addr
        lines = {
            "web": f"{self.protocol}://{host}:{port}/",
            "worker": f"{self._concurrency} threads, queues: {', '.join(services.queues(self._app))}",
            "beat": f"every {settings.TICK_SECONDS:g} s",
            "broker": _describe_broker(self._broker),
            "database": _describe_database(),
            "workflows": ", ".join(sorted({definition.name for definition in registry})) or "none declared yet",
        }
        self.stdout.write("Workflows run in this process:")
        for name, text in lines.items():
            self.stdout.write(f"  {name:<10} {text}")
        if _is_careless_sqlite():
            self.stdout.write(self.style.WARNING(SQLITE_HINT))
        self.stdout.write("For development only. Quit with Ctrl-C.")
        self.stdout.flush()

    def _stop(self, code: Any) -> None:
        if self._services is None:
            return
        _ignore_repeated_requests()
        if not self._services.stop(GRACE_SECONDS):
            self.stderr.write(
                f"A step still ran after {GRACE_SECONDS:g} s and was abandoned; it runs again after its lease."
            )
            # Python would wait for the step's thread.
            os._exit(code if isinstance(code, int) else 1)


def _celery_app() -> Celery:
    app: Celery = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - a proxy
    if app.main == "default":
        module = os.environ.get("DJANGO_SETTINGS_MODULE", "project.settings")
        raise CommandError(NO_APP.format(settings=module, project=module.partition(".")[0]))
    return app


def _check_tables() -> None:
    table = WorkflowRun._meta.db_table
    if table not in connections[rows.alias()].introspection.table_names():
        raise CommandError("The database has no tables for workflows yet: run manage.py migrate first.")


def _describe_broker(url: str) -> str:
    if url.startswith("memory"):
        return "memory:// (this process alone; after a restart the database brings back what was due)"
    return str(maybe_sanitize_url(url))


def _describe_database() -> str:
    connection = connections[rows.alias()]
    name = connection.settings_dict["NAME"]
    return f"{connection.display_name}, {Path(name).resolve() if connection.vendor == 'sqlite' else name}"


def _is_careless_sqlite() -> bool:
    connection = connections[rows.alias()]
    if connection.vendor != "sqlite":
        return False
    return bool(connection.settings_dict.get("OPTIONS", {}).get("transaction_mode") != "IMMEDIATE")


def _leave(signum: int, frame: FrameType | None) -> None:
    sys.exit(0)


def _ignore_repeated_requests() -> None:
    # A terminal sends Ctrl-C to parent and child, and the parent passes it on; whoever presses it
    # once more means it.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
