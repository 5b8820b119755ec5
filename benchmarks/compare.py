"""The comparison: all contenders in turn, again and again, so that the machine's moods meet all alike."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import environments, machine, servers
from benchmarks.contenders import Contender
from benchmarks.processes import Driver
from benchmarks.session import WORKLOADS, Session, Values
from benchmarks.sizes import Sizes

Results = dict[str, Any]
DISTRIBUTIONS = ("django", "celery", "kombu", "redis", "psycopg", "pydantic", "dbos", "sqlalchemy", "absurd-sdk")


def workloads(names: str | None) -> list[str]:
    """Return the workloads that a comma-separated list names, or all."""
    wanted = [name.strip() for name in names.split(",")] if names else list(WORKLOADS)
    unknown = set(wanted) - set(WORKLOADS)
    if unknown:
        raise SystemExit(f"No such workload: {', '.join(sorted(unknown))}. There are: {', '.join(WORKLOADS)}.")
    return wanted


def run(contenders: Sequence[Contender], wanted: Sequence[str], sizes: Sizes) -> Results:
    """Measure and return everything that the report needs."""
    taking_part = [contender for contender in contenders if contender.does.intersection(wanted)]
    for contender in contenders:
        environments.install(contender)
    with servers.running() as own, tempfile.TemporaryDirectory(prefix="django-ai-bench-") as directory:
        place = Path(directory)
        results = header("compare", own, taking_part, sizes)
        for contender in taking_part:
            make_template(own, contender)
        for contender, values in _passes(own, taking_part, wanted, sizes, place):
            for metric, value in values.items():
                results["values"].setdefault(metric, {}).setdefault(contender.name, []).append(value)
    return results


def _passes(
    own: servers.Servers, contenders: Sequence[Contender], wanted: Sequence[str], sizes: Sizes, place: Path
) -> Iterator[tuple[Contender, Values]]:
    order = [contender for _ in range(sizes.repeats) for contender in contenders]
    progress = Progress(len(order))
    for contender in order:
        with own.copy(template_of(contender)) as database:
            python = environments.python_of(contender)
            values = Session(contender, python, own, sizes, place, database).run(wanted)
        progress.show(contender.title, values)
        yield contender, values


class Progress:
    """Tells how far it is and how long the rest will take, as far as one can know."""

    def __init__(self, total: int) -> None:
        self.began, self.total, self.done = time.monotonic(), total, 0

    def show(self, what: str, values: Mapping[str, float]) -> None:
        """Print the values of a part that is done."""
        self.done += 1
        left = (time.monotonic() - self.began) * (self.total - self.done) / self.done
        told = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        state = f"load {os.getloadavg()[0]:.1f}; {left / 60:.1f} min to go"
        print(f"{self.done}/{self.total} {what}: {told} [{state}]", flush=True)


def template_of(contender: Contender) -> str:
    """Return the name of the database that holds the contender's tables and nothing else."""
    return f"bench_{contender.name}"


def make_template(own: servers.Servers, contender: Contender) -> None:
    """Have the contender make its tables once; each pass copies them."""
    own.create(template_of(contender))
    programs = str(getattr(own.postgres, "programs", ""))  # absurd's tool wants psql
    variables = {
        "DATABASE_URL": own.url(template_of(contender)),
        "REDIS_URL": own.broker.url,
        "PATH": f"{os.environ['PATH']}{os.pathsep}{programs}",
        **contender.variables,
    }
    Driver.prepare(environments.python_of(contender), contender.module, variables)


def header(suite: str, own: servers.Servers, contenders: Sequence[Contender], sizes: Sizes) -> Results:
    """Return what a report tells of the circumstances."""
    versions = {
        contender.name: environments.versions(environments.python_of(contender), DISTRIBUTIONS)
        for contender in contenders
    }
    return {
        "suite": suite,
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "sizes": sizes.name,
        "repeats": sizes.repeats,
        "contenders": {contender.name: contender.title for contender in contenders},
        "machine": machine.describe(own.postgres.directory),
        "redis": own.redis_version(),
        "postgres": own.settings(),
        "versions": versions,
        "values": {},
    }
