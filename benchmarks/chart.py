"""Results as an SVG of bars, drawn here, readable on a light page and on a dark one."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from benchmarks.contenders import OWN
from benchmarks.figures import Summary
from benchmarks.metrics import Metric, by_name
from benchmarks.report import number, summaries

Results = dict[str, Any]

SHOWN = ("steps", "steps2", "idle_p50", "signal_p50", "nap_p50", "starts", "children", "crowd")
COLUMNS = 2
PANEL_WIDTH, LABEL_WIDTH, VALUE_WIDTH = 460, 96, 84
BAR, GAP, HEAD, MARGIN = 16, 8, 34, 20
BARS_WIDTH = PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH

# The picture has a ground of its own, so it can be read whatever page shows it.
STYLE = """
  .ground { fill: #ffffff; stroke: #d0d7de; }
  text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
  .title { font-weight: 600; }
  .note { fill: #59636e; }
  .own { fill: #0969da; }
  .other { fill: #8c959f; }
  .spread { stroke: #1f2328; stroke-width: 1; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #161b22; stroke: #3d444d; }
    text { fill: #f0f6fc; }
    .note { fill: #9198a1; }
    .own { fill: #4493f8; }
    .other { fill: #656c76; }
    .spread { stroke: #f0f6fc; }
  }
"""


def svg(results: Results) -> str:
    """Return the chart: a panel for each metric, a bar for each contender, a line from lowest to highest."""
    found = summaries(results)
    shown = [name for name in SHOWN if name in found]
    names = [name for name in results["contenders"] if name != "limit"]
    height = HEAD + len(names) * (BAR + GAP) + MARGIN
    rows = -(-len(shown) // COLUMNS)
    width, total = COLUMNS * (PANEL_WIDTH + MARGIN) + MARGIN, rows * height + MARGIN
    panels = [
        f'<g transform="translate({MARGIN + index % COLUMNS * (PANEL_WIDTH + MARGIN)},'
        f'{MARGIN + index // COLUMNS * height})">{_panel(by_name(name), found[name], names, results)}</g>'
        for index, name in enumerate(shown)
    ]
    said = f"Medians of {results['repeats']} repeats for {', '.join(results['contenders'][name] for name in names)}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total}" width="{width}" height="{total}"'
        f' role="img" aria-label="{escape(said)}">\n<style>{STYLE}</style>\n'
        f'<rect class="ground" x="0.5" y="0.5" width="{width - 1}" height="{total - 1}" rx="8"/>\n'
        + "\n".join(panels)
        + "\n</svg>\n"
    )


def _panel(metric: Metric, found: dict[str, Summary], names: list[str], results: Results) -> str:
    scale = BARS_WIDTH / max(summary.high for summary in found.values())
    better = "more is better" if metric.more_is_better else f"{metric.unit}, less is better"
    head = f'<text class="title" y="14">{escape(metric.title)} <tspan class="note">{better}</tspan></text>'
    return head + "".join(
        f'<g transform="translate(0,{HEAD + row * (BAR + GAP) - 8})">'
        f"{''.join(_bar(metric, results['contenders'][name], found.get(name), scale, own=name == OWN))}</g>"
        for row, name in enumerate(names)
    )


def _bar(metric: Metric, title: str, summary: Summary | None, scale: float, *, own: bool) -> Iterator[str]:
    middle = BAR / 2
    yield f'<text x="{LABEL_WIDTH - 8}" y="{middle + 4}" text-anchor="end">{escape(title)}</text>'
    if summary is None:
        yield f'<text class="note" x="{LABEL_WIDTH}" y="{middle + 4}">no counterpart</text>'
        return
    kind = "own" if own else "other"
    yield f'<rect class="{kind}" x="{LABEL_WIDTH}" width="{max(summary.median * scale, 1):.1f}" height="{BAR}" rx="2"/>'
    low, high = (LABEL_WIDTH + edge * scale for edge in (summary.low, summary.high))
    yield f'<line class="spread" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>'
    value = number(summary.median, metric.digits)
    yield f'<text x="{LABEL_WIDTH + BARS_WIDTH + 8}" y="{middle + 4}">{value}</text>'
