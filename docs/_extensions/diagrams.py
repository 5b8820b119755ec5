"""The directive `mermaid`: draws a small state diagram as SVG while the site is built, without a script or a server.

Mermaid's own text stays in the pages, where code hosts draw it. Here each state has its place in PLACES; an
arrow leaves one box, bends a little to the side and enters the other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ARROW = re.compile(r"^\s*(\S+) --> (\S+)(?: : (.+))?$", re.MULTILINE)
# The middles of the boxes.
PLACES = {
    "[*]": (20, 250),
    "running": (230, 110),
    "suspended": (230, 390),
    "completed": (720, 50),
    "failed": (720, 250),
    "cancelled": (720, 450),
}
WIDTH, HEIGHT = 800, 500
BOX = (116, 40)
BEND = 44.0
# How far along an arrow its text stands: near its start, for at the ends several arrows meet.
TEXT_AT = 0.32
HEAD = (
    '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8"'
    ' orient="auto-start-reverse"><path d="M0 0L10 5L0 10z"/></marker></defs>'
)
Point = tuple[float, float]


@dataclass(frozen=True)
class Arrow:
    """One line of the diagram."""

    start: str
    end: str
    label: str


def arrows(text: str) -> list[Arrow]:
    """Return the arrows of a Mermaid state diagram, without those to its end."""
    found = [Arrow(start, end, label or "") for start, end, label in ARROW.findall(text)]
    return [arrow for arrow in found if arrow.end != "[*]"]


def svg(text: str) -> str:
    """Return the diagram as an inline SVG that takes its colours from the page."""
    drawn = arrows(text)
    states = sorted({state for arrow in drawn for state in (arrow.start, arrow.end)})
    unknown = [state for state in states if state not in PLACES]
    if unknown:
        raise ValueError(f"Give {', '.join(unknown)} a place in PLACES of {__file__}.")
    label = escape("; ".join(f"{arrow.start} to {arrow.end}: {arrow.label}" for arrow in drawn))
    parts = [
        f'<svg class="states" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">',
        HEAD,
        *(part for arrow in drawn for part in (_loop if arrow.start == arrow.end else _curve)(arrow)),
        *(_state(state) for state in states),
        "</svg>",
    ]
    return "".join(parts)


def _state(state: str) -> str:
    x, y = PLACES[state]
    if state == "[*]":
        return f'<circle class="start" cx="{x}" cy="{y}" r="9"/>'
    width, height = BOX
    return (
        f'<g class="state {state}"><rect x="{x - width / 2}" y="{y - height / 2}" width="{width}" height="{height}"'
        f' rx="8"/><text x="{x}" y="{y}">{escape(state)}</text></g>'
    )


def _curve(arrow: Arrow) -> Iterator[str]:
    a, b = PLACES[arrow.start], PLACES[arrow.end]
    length = math.dist(a, b)
    # To the right of the way, so that the way back does not lie on the way there.
    side = (-(b[1] - a[1]) / length * BEND, (b[0] - a[0]) / length * BEND)
    middle = ((a[0] + b[0]) / 2 + side[0], (a[1] + b[1]) / 2 + side[1])
    start, end = _edge(arrow.start, a, middle), _edge(arrow.end, b, middle)
    yield f'<path class="way" d="M{_at(start)}Q{_at(middle)} {_at(end)}" marker-end="url(#head)"/>'
    yield _label(arrow.label, _on_curve(start, middle, end, TEXT_AT))


def _loop(arrow: Arrow) -> Iterator[str]:
    x, y = PLACES[arrow.start]
    up = -1 if y < HEIGHT / 2 else 1
    edge = y + up * BOX[1] / 2
    far = y + up * 78
    yield (
        f'<path class="way" d="M{x - 24} {edge}C{x - 60} {far} {x + 60} {far} {x + 24} {edge}"'
        ' marker-end="url(#head)"/>'
    )
    yield _label(arrow.label, (x, y + up * 70))


def _label(text: str, place: Point) -> str:
    lines = text.split(", ")
    x, y = place
    spans = "".join(
        f'<tspan x="{x:.0f}" y="{y + (number - (len(lines) - 1) / 2) * 15:.0f}">{escape(line)}</tspan>'
        for number, line in enumerate(lines)
    )
    return f'<text class="happening">{spans}</text>'


def _edge(state: str, middle: Point, towards: Point) -> Point:
    """Return where the line from the middle of a box leaves it."""
    width, height = (18, 18) if state == "[*]" else BOX
    dx, dy = towards[0] - middle[0], towards[1] - middle[1]
    scale = min(width / 2 / abs(dx) if dx else math.inf, height / 2 / abs(dy) if dy else math.inf)
    return middle[0] + dx * scale, middle[1] + dy * scale


def _on_curve(start: Point, control: Point, end: Point, t: float) -> Point:
    return (
        (1 - t) ** 2 * start[0] + 2 * (1 - t) * t * control[0] + t**2 * end[0],
        (1 - t) ** 2 * start[1] + 2 * (1 - t) * t * control[1] + t**2 * end[1],
    )


def _at(point: Point) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"


class Mermaid(SphinxDirective):
    """A fenced block of Mermaid."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", svg("\n".join(self.content)), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("mermaid", Mermaid)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
