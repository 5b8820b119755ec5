"""One pass of one contender: a fresh database, fresh workers, each workload once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import figures
from benchmarks.accounts import Accounts
from benchmarks.contenders import Contender
from benchmarks.marks import VARIABLE
from benchmarks.processes import ContenderFailed, Driver, Program
from benchmarks.servers import Servers
from benchmarks.sizes import Sizes

STEPS = 10  # of each run of the workloads "ten" and "orm"

# Each with the worker processes it wants. What wants none comes last, for its runs are never worked on.
WORKLOADS = {
    "steps": 1,
    "orm": 1,
    "idle": 1,
    "signal": 1,
    "sleep": 1,
    "children": 1,
    "crowd": 1,
    "steps2": 2,
    "orm2": 2,
    "starts": 0,
    "many": 0,
    "limit": 0,
    "orm_alone": 0,
}

Values = dict[str, float]


@dataclass
class Session:
    """What a pass needs: the database holds the contender's tables, the directory takes what is passing."""

    contender: Contender
    python: Path
    servers: Servers
    sizes: Sizes
    directory: Path
    database: str

    def run(self, wanted: Iterable[str]) -> Values:
        """Measure the wanted workloads that the contender does and return the values of their metrics."""
        values: Values = {}
        doable = [workload for workload in WORKLOADS if workload in wanted and workload in self.contender.does]
        with self.driving() as self.driver:
            for processes in dict.fromkeys(WORKLOADS[workload] for workload in doable):
                with self.working(processes) as self.workers:
                    for workload in (one for one in doable if WORKLOADS[one] == processes):
                        values |= MEASURE[workload](self)
        return values

    @contextmanager
    def driving(self) -> Iterator[Driver]:
        """Run the process that starts runs and measures."""
        self.servers.empty_broker()
        marks = self.directory / "marks"
        marks.write_bytes(b"")
        self.variables = {
            "DATABASE_URL": self.servers.url(self.database),
            "REDIS_URL": self.servers.broker.url,
            VARIABLE: str(marks),
            **self.contender.variables,
        }
        driver = Driver(self.python, self.contender.module, self.variables, self.directory / "driver.log")
        try:
            yield driver
        finally:
            driver.close()

    @contextmanager
    def working(self, processes: int) -> Iterator[list[Program]]:
        """Run so many worker processes, warmed up; none where 0 are wanted."""
        with ExitStack() as stack:
            commands = self.contender.workers(processes) if processes else []
            workers = [stack.enter_context(Program(self.python, arguments, self.variables)) for arguments in commands]
            try:
                if workers:
                    runs = self.sizes.warm_up * processes
                    self.driver.ask("fill", workflow=self.contender.warm_up, runs=runs)
                    self.driver.ask("finish", patience=60)
                yield workers
            except ContenderFailed as error:
                said = "\n".join(worker.said() for worker in workers)
                raise ContenderFailed(f"{self.contender.title}: {error}\n{said}") from None

    def fill(self, workflow: str, runs: int, **params: Any) -> None:
        """Start runs while the workers are frozen, so that only the work on them is measured."""
        for worker in self.workers:
            worker.pause()
        self.driver.ask("fill", workflow=workflow, runs=runs, **params)

    def work_off(self) -> float:
        """Thaw the workers and return the seconds until the last of the runs has ended."""
        began = time.monotonic()
        for worker in self.workers:
            worker.resume()
        return float(self.driver.ask("finish")) - began


def _steps(session: Session) -> Values:
    runs = session.sizes.steps
    accounts = Accounts(session.servers, session.database, session.workers)
    session.fill("ten", runs)
    before = accounts.read()
    seconds = session.work_off()
    return {"steps": runs * STEPS / seconds, **accounts.since(before, runs * STEPS)}


def _steps2(session: Session) -> Values:
    session.fill("ten", session.sizes.steps)
    return {"steps2": session.sizes.steps * STEPS / session.work_off()}


def _orm(metric: str) -> Callable[[Session], Values]:
    def measure(session: Session) -> Values:
        session.fill("orm", session.sizes.orm)
        return {metric: session.sizes.orm * STEPS / session.work_off()}

    return measure


def _orm_alone(session: Session) -> Values:
    return {"orm_alone": session.driver.ask("call", method="bookings", seconds=session.sizes.commit_seconds)}


def _children(session: Session) -> Values:
    parents, children = session.sizes.parents, session.sizes.children
    session.fill("parent", parents, children=children)
    return {"children": parents * children / session.work_off()}


def _latency(metric: str, question: str, **arguments: Any) -> Callable[[Session, int], Values]:
    def measure(session: Session, samples: int) -> Values:
        times = session.driver.ask(question, samples=samples, **arguments)
        return {
            f"{metric}_p50": figures.percentile(times, 50) * 1000,
            f"{metric}_p95": figures.percentile(times, 95) * 1000,
        }

    return measure


def _idle(session: Session) -> Values:
    return _latency("idle", "idle")(session, session.sizes.idle)


def _signal(session: Session) -> Values:
    return _latency("signal", "signals")(session, session.sizes.signals)


def _sleep(session: Session) -> Values:
    short, long = session.sizes.naps
    samples = session.sizes.sleepers
    return {
        **_latency("nap", "sleeps", seconds=short)(session, samples),
        **_latency("sleep", "sleeps", seconds=long)(session, samples),
    }


def _crowd(session: Session) -> Values:
    return {"crowd": session.driver.ask("crowd", runs=session.sizes.crowd)}


def _starts(session: Session) -> Values:
    return {"starts": session.sizes.starts / session.driver.ask("starts", runs=session.sizes.starts)}


def _many(session: Session) -> Values:
    return {"many": session.sizes.many / session.driver.ask("starts_at_once", runs=session.sizes.many)}


def _limit(session: Session) -> Values:
    ways = {"limit": False, "limit_cte": True}
    return {
        metric: session.driver.ask("call", method="commits", seconds=session.sizes.commit_seconds, one_statement=way)
        for metric, way in ways.items()
    }


MEASURE: dict[str, Callable[[Session], Values]] = {
    "steps": _steps,
    "steps2": _steps2,
    "idle": _idle,
    "signal": _signal,
    "sleep": _sleep,
    "children": _children,
    "crowd": _crowd,
    "starts": _starts,
    "many": _many,
    "limit": _limit,
    "orm": _orm("orm"),
    "orm2": _orm("orm2"),
    "orm_alone": _orm_alone,
}
