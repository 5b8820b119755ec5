"""Results as Markdown: the machine, the figures with their spread, how they compare, what was aimed at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.contenders import OWN
from benchmarks.figures import Summary
from benchmarks.metrics import GOALS, METRICS, Goal, Metric, by_name

Results = dict[str, Any]
MISSING = "–"
QUIET_LOAD = 0.5
# Workloads without any engine, which one process does by itself.
LIMITS = frozenset({"limit", "orm_alone"})
BUSY = (
    "**The machine was busy with other things**: what was counted (CPU, statements, commits, WAL) holds, but times and"
    " rates do not."
)
NOTICE = "<!-- Written by `make bench`. Change the benchmark, not this file. -->"


def summaries(results: Results) -> dict[str, dict[str, Summary]]:
    """Return the summary of each metric of each contender."""
    return {
        metric: {contender: Summary.of(values) for contender, values in of_metric.items()}
        for metric, of_metric in results["values"].items()
    }


def medians(results: Results) -> dict[str, dict[str, float]]:
    """Return the median of each metric of each contender."""
    return {
        metric: {contender: summary.median for contender, summary in of_metric.items()}
        for metric, of_metric in summaries(results).items()
    }


def markdown(results: Results) -> str:
    """Return the whole report."""
    parts = [NOTICE, told(results), circumstances(results), "### Figures", _figures(results)]
    if others(results):
        parts += ["### How many times better", _ratios(results)]
    return "\n\n".join([*parts, "### Goals", _goals(results)]) + "\n"


def others(results: Results) -> list[str]:
    """Return the contenders that this project is compared with."""
    return [name for name in results["contenders"] if name not in {OWN, "limit"}]


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: bool = True) -> str:
    """Return a Markdown table; every column but the first is aligned right, where it holds numbers."""
    lines = [head, ["---", *["---:" if right else "---"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float, digits: int) -> str:
    """Return a number as people write it."""
    return f"{value:,.{digits}f}"


def told(results: Results) -> str:
    """Return what kind of run it was, and whether the machine was quiet enough."""
    sizes = {
        "full": "A full run",
        "quick": "A quick run, for a first look: few runs and repeats, so the figures are rough",
    }
    kind = sizes.get(results["sizes"], f"A run of size {results['sizes']!r}")
    repeats = results["repeats"]
    said = f"{kind}. {repeats} {'repeat' if repeats == 1 else 'repeats'}; {results['when']}."
    return f"{said} {BUSY}" if float(results["machine"]["load before"]) > QUIET_LOAD else said


def circumstances(results: Results) -> str:
    """Return the machine, the servers and the versions as a table."""
    settings = dict(results["postgres"])
    facts = {
        **results["machine"],
        "PostgreSQL": settings.pop("server_version"),
        "its settings": ", ".join(f"{name} {value}" for name, value in settings.items()),
        "Redis": results["redis"],
    }
    for contender, versions in results["versions"].items():
        if contender != "limit":
            found = ", ".join(f"{name} {version}" for name, version in versions.items())
            facts[f"under {results['contenders'][contender]}"] = found
    return table(["the machine", ""], list(facts.items()), right=False)


def _figures(results: Results) -> str:
    found = summaries(results)
    shown = [metric for metric in METRICS if metric.name in found]
    names = [name for name in results["contenders"] if name != "limit"]
    head = ["median (lowest–highest)", *(results["contenders"][name] for name in names)]
    rows = [_row(metric, found, names) for metric in shown if metric.workload not in LIMITS]
    limits = [_row(metric, found, ["limit"]) for metric in shown if metric.workload in LIMITS]
    parts = [table(head, rows)]
    if limits:
        parts += ["What one connection to PostgreSQL commits, without any engine:", table([head[0], ""], limits)]
    return "\n\n".join(parts)


def _row(metric: Metric, found: dict[str, dict[str, Summary]], names: list[str]) -> list[str]:
    return [_title(metric), *(_cell(metric, found[metric.name].get(name)) for name in names)]


def _title(metric: Metric) -> str:
    return f"{metric.title} ({metric.unit})" if metric.unit not in {"", "/s"} else metric.title


def _cell(metric: Metric, summary: Summary | None) -> str:
    if summary is None:
        return MISSING
    low, high = number(summary.low, metric.digits), number(summary.high, metric.digits)
    return f"{number(summary.median, metric.digits)} ({low}–{high})"


def _ratios(results: Results) -> str:
    found, names = medians(results), others(results)
    shown = [metric for metric in METRICS if OWN in found.get(metric.name, {})]
    rows = [[metric.title, *(_times_better(metric, found, name) for name in names)] for metric in shown]
    compared = [row for row in rows if set(row[1:]) != {MISSING}]
    return table([f"{results['contenders'][OWN]} against", *(results["contenders"][name] for name in names)], compared)


def _times_better(metric: Metric, found: dict[str, dict[str, float]], other: str) -> str:
    own, theirs = found[metric.name][OWN], found[metric.name].get(other)
    if not own or not theirs:
        return MISSING
    return f"{own / theirs if metric.more_is_better else theirs / own:.2f}"


def _goals(results: Results) -> str:
    found = medians(results)
    rows = [_goal_row(goal, found, results["contenders"]) for goal in GOALS if goal.ratio(found) is not None]
    return table(["goal", "it is", "reached"], rows)


def _goal_row(goal: Goal, found: dict[str, dict[str, float]], titles: dict[str, str]) -> list[str]:
    metric = by_name(goal.metric)
    sign, ratio = "≥" if metric.more_is_better else "≤", goal.ratio(found) or 0.0
    if goal.contender:
        wanted, measured = f"{goal.factor:g} × {_versus(goal, titles)}", f"{ratio:.2f} ×"
    else:
        wanted, measured = f"{goal.factor:g} {metric.unit}", f"{ratio:.{metric.digits}f} {metric.unit}"
    return [f"{metric.title} {sign} {wanted}", measured, "yes" if goal.reached(found) else "no"]


def _versus(goal: Goal, titles: dict[str, str]) -> str:
    who = "the best of the others" if goal.contender == "best" else titles[goal.contender]
    return who if not goal.of or goal.of == goal.metric else f"{who} ({by_name(goal.of).title})"
