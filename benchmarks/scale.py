"""How figures change as finished and sleeping runs pile up: throughput, the scheduler's pass, the admin's pages."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import compare, environments, servers
from benchmarks.contenders import CONTENDERS, OWN, Contender
from benchmarks.figures import Summary
from benchmarks.report import NOTICE, circumstances, number, table, told
from benchmarks.session import Session
from benchmarks.sizes import FULL, QUICK

GROWN = "bench_grown"
LARGE_SLEEP = 30 * 24 * 3600.0  # seconds


@dataclass(frozen=True, slots=True)
class Stages:
    """How many finished runs there are, stage by stage, and how many sleep at each."""

    finished: tuple[int, ...]
    sleeping: int
    rounds: int


STAGES = {
    "full": Stages(finished=(0, 100_000, 1_000_000, 5_000_000), sleeping=100_000, rounds=20),
    "quick": Stages(finished=(0, 1_000, 20_000), sleeping=1_000, rounds=5),
}
COLUMNS = {
    "grown": "steps/s",
    "empty": "steps/s, empty tables",
    "ratio": "ratio",
    "tick": "scheduler's pass (ms)",
    "list": "run list (ms)",
    "list_search": "run list, searched (ms)",
    "run": "run page (ms)",
    "gigabytes": "database (GB)",
}
DIGITS = {"grown": 0, "empty": 0, "ratio": 2, "tick": 1, "list": 0, "list_search": 0, "run": 0, "gigabytes": 2}


def contender() -> Contender:
    """Return this project with the admin."""
    own = next(one for one in CONTENDERS if one.name == OWN)
    admin = {"DJANGO_SETTINGS_MODULE": "benchmarks.peers.own.settings_admin"}
    return replace(own, module="benchmarks.peers.own.at_scale", variables=admin)


def run(*, quick: bool, repeats: int | None) -> dict[str, Any]:
    """Fill the tables stage by stage and measure at each."""
    sizes, stages, own = (QUICK if quick else FULL), STAGES["quick" if quick else "full"], contender()
    sizes = replace(sizes, repeats=repeats or sizes.repeats)
    environments.install(own)
    with servers.running() as running, tempfile.TemporaryDirectory(prefix="django-ai-bench-") as directory:
        results = compare.header("scale", running, [own], sizes)
        compare.make_template(running, own)
        running.create(GROWN, compare.template_of(own))
        place = Path(directory)
        grown = Session(own, environments.python_of(own), running, sizes, place, GROWN)
        progress = compare.Progress(len(stages.finished))
        results["stages"] = []
        there = 0
        for finished in stages.finished:
            size = _fill(grown, finished - there, 0 if results["stages"] else stages.sleeping)
            there = finished
            values = {**_throughput(grown), **_looks(grown, stages.rounds), "gigabytes": [size / 1e9]}
            results["stages"].append({"finished": finished, "sleeping": stages.sleeping, "values": values})
            progress.show(f"{finished:,} finished", {name: Summary.of(of).median for name, of in values.items()})
    return results


def _fill(grown: Session, finished: int, sleeping: int) -> int:
    """Add runs and return the size of the database in bytes."""
    with grown.driving() as grown.driver:
        if sleeping:
            with grown.working(1):
                _make_originals(grown)
            grown.driver.ask("call", method="copy_sleeping", copies=sleeping)
        if finished:
            grown.driver.ask("call", method="copy_finished", copies=finished)
        return int(grown.driver.ask("call", method="tidy"))


def _make_originals(grown: Session) -> None:
    """Have a run of each kind worked on, to be copied."""
    grown.driver.ask("fall_asleep", seconds=LARGE_SLEEP)
    grown.driver.ask("complete", workflow="child")


def _throughput(grown: Session) -> dict[str, list[float]]:
    """Return steps a second with full and with empty tables, measured in turn."""
    found: dict[str, list[float]] = {"grown": [], "empty": []}
    for _ in range(grown.sizes.repeats):
        with grown.servers.copy(compare.template_of(grown.contender)) as database:
            found["empty"].append(replace(grown, database=database).run(["steps"])["steps"])
        found["grown"].append(grown.run(["steps"])["steps"])
    found["ratio"] = [full / empty for full, empty in zip(found["grown"], found["empty"], strict=True)]
    return found


def _looks(grown: Session, rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds that the scheduler's pass and the admin's pages take."""
    with grown.driving() as driver:
        times = {"tick": driver.ask("call", method="ticks", rounds=rounds)}
        times |= driver.ask("call", method="pages", rounds=rounds)
    return {name: [seconds * 1000 for seconds in of] for name, of in times.items()}


def markdown(results: dict[str, Any]) -> str:
    """Return the report."""
    rows = [
        [f"{stage['finished']:,}", f"{stage['sleeping']:,}", *(_cell(name, stage["values"]) for name in COLUMNS)]
        for stage in results["stages"]
    ]
    return (
        "\n\n".join(
            [
                NOTICE,
                told(results),
                circumstances(results),
                table(["finished runs", "sleeping", *COLUMNS.values()], rows),
            ]
        )
        + "\n"
    )


def _cell(name: str, values: dict[str, list[float]]) -> str:
    summary, digits = Summary.of(values[name]), DIGITS[name]
    if summary.count == 1:
        return number(summary.median, digits)
    return f"{number(summary.median, digits)} ({number(summary.low, digits)}–{number(summary.high, digits)})"
