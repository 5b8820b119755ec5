"""Measure this project: against others, with millions of rows, or its events.

- `python -m benchmarks compare [--quick] [--only steps,idle] [--peers celery,absurd] [--repeats 5] [--docs]`
- `python -m benchmarks scale [--quick] [--docs]`
- `python -m benchmarks events [--quick] [--docs]`
- `python -m benchmarks publish .cache/bench/results/….json`
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import chart, compare, contenders, events, report, scale
from benchmarks.contenders import ROOT
from benchmarks.session import WORKLOADS
from benchmarks.sizes import FULL, QUICK

RESULTS = ROOT / ".cache" / "bench" / "results"
DOCS = ROOT / "docs" / "performance"


def main() -> None:
    """Do what the command line says."""
    given = _arguments()
    results = json.loads(given.file.read_text()) if given.suite == "publish" else SUITES[given.suite](given)
    rendered = {"json": json.dumps(results, indent=1) + "\n", **RENDER[results["suite"]](results)}
    print("\n" + rendered["md"])
    if given.suite != "publish":
        _write(RESULTS, f"{results['suite']}-{datetime.now(UTC):%Y%m%d-%H%M%S}", rendered)
    if given.docs or given.suite == "publish":
        _write(DOCS, results["suite"], rendered)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suite", choices=[*SUITES, "publish"])
    parser.add_argument("file", nargs="?", type=Path, help="the results to publish")
    parser.add_argument("--quick", action="store_true", help="small sizes, two minutes")
    parser.add_argument("--only", help=f"workloads: {', '.join(WORKLOADS)}")
    parser.add_argument("--peers", help=f"contenders: {', '.join(one.name for one in contenders.CONTENDERS)}")
    parser.add_argument("--repeats", type=int, help="how often each contender has its turn")
    parser.add_argument("--docs", action="store_true", help="write into docs/performance too")
    return parser.parse_args()


def _compare(given: argparse.Namespace) -> dict[str, Any]:
    sizes = QUICK if given.quick else FULL
    if given.repeats:
        sizes = replace(sizes, repeats=given.repeats)
    return compare.run(contenders.chosen(given.peers), compare.workloads(given.only), sizes)


def _write(place: Path, name: str, rendered: dict[str, str]) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for kind, text in rendered.items():
        path = place / f"{name}.{kind}"
        path.write_text(text)
        print(f"Written: {path.relative_to(ROOT)}")


def _scale(given: argparse.Namespace) -> dict[str, Any]:
    return scale.run(quick=given.quick, repeats=given.repeats)


def _events(given: argparse.Namespace) -> dict[str, Any]:
    return events.run(quick=given.quick)


SUITES = {"compare": _compare, "scale": _scale, "events": _events}
RENDER = {
    "compare": lambda results: {"md": report.markdown(results), "svg": chart.svg(results)},
    "scale": lambda results: {"md": scale.markdown(results)},
    "events": lambda results: {"md": events.markdown(results)},
}

if __name__ == "__main__":
    main()
