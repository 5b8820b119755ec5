"""Who is measured: what is installed, which processes work, which workloads there is no counterpart for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

Command = list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One of those that are compared."""

    name: str
    title: str
    requirements: tuple[str, ...]
    module: str  # the client, run by benchmarks.driver
    workers: Callable[[int], list[Command]]  # arguments to python, for so many worker processes
    does: frozenset[str]
    variables: dict[str, str] = field(default_factory=dict)
    environment: str = ""  # shared with the contender of this name
    warm_up: str = "ten"  # the workflow whose runs warm its workers up

    @property
    def place(self) -> str:
        """The name of the environment that it runs in."""
        return self.environment or self.name


def _celery(app: str) -> Callable[[int], list[Command]]:
    def commands(processes: int) -> list[Command]:
        worker = ["-m", "celery", "-A", app, "worker", "--pool", "prefork", "--concurrency", str(processes)]
        return [worker]

    return commands


def _own(processes: int) -> list[Command]:
    app = "benchmarks.peers.own.celery"
    beat = ["-m", "celery", "-A", app, "beat", "--schedule", "beat-schedule"]
    return [*_celery(app)(processes), beat]


def _script(module: str) -> Callable[[int], list[Command]]:
    return lambda processes: [["-m", module]] * processes


EVERYTHING = frozenset({"steps", "steps2", "idle", "signal", "sleep", "children", "crowd", "starts"})
OWN = "django_ai"

CONTENDERS = (
    Contender(
        name=OWN,
        title="django_ai",
        requirements=("--editable", f"{ROOT}[redis,postgres]"),
        module="benchmarks.peers.own.client",
        workers=_own,
        does=EVERYTHING | {"orm", "orm2", "many"},
    ),
    Contender(
        name="celery",
        title="bare Celery",
        requirements=("celery[redis]>=5.4",),
        module="benchmarks.peers.celery_app",
        workers=_celery("benchmarks.peers.celery_app"),
        does=frozenset({"steps", "steps2", "idle", "signal", "sleep", "starts"}),
    ),
    Contender(
        name="celery_orm",
        title="Celery and Django",
        requirements=(),
        environment=OWN,
        module="benchmarks.peers.celery_orm",
        workers=_celery("benchmarks.peers.celery_orm"),
        warm_up="orm",
        does=frozenset({"orm", "orm2"}),
    ),
    Contender(
        name="dbos",
        title="DBOS",
        requirements=("dbos>=3.4,<4",),
        module="benchmarks.peers.dbos_app",
        workers=_script("benchmarks.peers.dbos_app"),
        does=EVERYTHING,
    ),
    Contender(
        name="absurd",
        title="absurd",
        requirements=("absurd-sdk>=0.5,<0.6", "absurdctl>=0.5,<0.6"),
        module="benchmarks.peers.absurd_app",
        workers=_script("benchmarks.peers.absurd_app"),
        does=EVERYTHING,
    ),
    Contender(
        name="limit",
        title="PostgreSQL alone",
        requirements=(),
        environment=OWN,
        module="benchmarks.peers.limit",
        workers=lambda _: [],
        does=frozenset({"limit", "orm_alone"}),
    ),
)


def chosen(names: str | None) -> list[Contender]:
    """Return the contenders that a comma-separated list names, or all; this project is always among them."""
    known = {contender.name: contender for contender in CONTENDERS}
    wanted = [name.strip() for name in names.split(",")] if names else list(known)
    unknown = set(wanted) - set(known)
    if unknown:
        raise SystemExit(f"No such peer: {', '.join(sorted(unknown))}. There are: {', '.join(known)}.")
    return [contender for name, contender in known.items() if name in {OWN, *wanted}]
