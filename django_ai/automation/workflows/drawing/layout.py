"""Where the boxes and arrows of a graph go: in layers from top to bottom, the same each time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Point = tuple[float, float]

# Distances, in pixels.
GAP = 28.0
LAYER_GAP = 16.0
BEND_WIDTH = 12.0

# How often the boxes of each layer are put in the order of their neighbours, and moved towards them.
SWEEPS = 8


@dataclass(slots=True, kw_only=True)
class Box:
    """A box, or a place where an arrow passes a layer; ``x`` and ``y`` are its centre."""

    key: str
    width: float
    height: float
    layer: int = 0
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """An arrow to draw; its label takes room of this size."""

    source: str
    target: str
    label_width: float = 0.0
    label_height: float = 0.0


@dataclass(slots=True)
class Layout:
    """The boxes at their places, the points that each arrow passes, the places of labels, and the whole size."""

    boxes: dict[str, Box]
    routes: dict[Arrow, list[Point]] = field(default_factory=dict)
    labels: dict[Arrow, Point] = field(default_factory=dict)
    width: float = 0.0
    height: float = 0.0


def arrange(boxes: Iterable[Box], arrows: Sequence[Arrow]) -> Layout:
    """Place boxes and arrows. The first box is at the top; an arrow from a box to itself needs no place."""
    drawn = {box.key: box for box in boxes}
    between = [arrow for arrow in arrows if arrow.source != arrow.target]
    turned = _backward(drawn, between)
    downward = {
        arrow: (arrow.target, arrow.source) if arrow in turned else (arrow.source, arrow.target) for arrow in between
    }
    _assign_layers(drawn, list(downward.values()))
    chains, bends = _chains(drawn, downward)
    everything = {**drawn, **bends}
    neighbours = _neighbours(chains.values())
    layers = _ordered(everything, neighbours)
    _place_across(layers, neighbours)
    _place_down(layers)
    layout = Layout(drawn)
    for arrow, chain in chains.items():
        points = [(everything[key].x, everything[key].y) for key in chain]
        layout.routes[arrow] = points[::-1] if arrow in turned else points
        layout.labels[arrow] = points[len(points) // 2]
    _fit(layout, everything.values())
    return layout


def _backward(boxes: Mapping[str, Box], arrows: Sequence[Arrow]) -> set[Arrow]:
    """Return the arrows that lead back to where one came from, seen from the first box."""
    leaving: dict[str, list[Arrow]] = defaultdict(list)
    for arrow in arrows:
        leaving[arrow.source].append(arrow)
    back: set[Arrow] = set()
    done: set[str] = set()
    for first in boxes:
        path: list[tuple[str, list[Arrow]]] = [] if first in done else [(first, list(leaving[first]))]
        on_path = {first}
        while path:
            key, left = path[-1]
            if not left:
                path.pop()
                on_path.discard(key)
                done.add(key)
                continue
            arrow = left.pop(0)
            if arrow.target in on_path:
                back.add(arrow)
            elif arrow.target not in done:
                path.append((arrow.target, list(leaving[arrow.target])))
                on_path.add(arrow.target)
    return back


def _assign_layers(boxes: Mapping[str, Box], pairs: Sequence[tuple[str, str]]) -> None:
    """Put each box below all that lead to it: in even layers, for the odd ones hold bends and labels."""
    below: dict[str, list[str]] = defaultdict(list)
    waiting_for = dict.fromkeys(boxes, 0)
    for source, target in pairs:
        below[source].append(target)
        waiting_for[target] += 1
    ready = [key for key, count in waiting_for.items() if not count]
    for key in ready:
        for target in below[key]:
            boxes[target].layer = max(boxes[target].layer, boxes[key].layer + 2)
            waiting_for[target] -= 1
            if not waiting_for[target]:
                ready.append(target)


def _chains(
    boxes: Mapping[str, Box], downward: Mapping[Arrow, tuple[str, str]]
) -> tuple[dict[Arrow, list[str]], dict[str, Box]]:
    """Return for each arrow the keys it passes from top to bottom, and the bends that this needs."""
    chains: dict[Arrow, list[str]] = {}
    bends: dict[str, Box] = {}
    for number, (arrow, (top, bottom)) in enumerate(downward.items()):
        first, last = boxes[top].layer + 1, boxes[bottom].layer
        keys = [f"{number}|{layer}" for layer in range(first, last)]
        for key, layer in zip(keys, range(first, last), strict=True):
            bends[key] = Box(key=key, width=BEND_WIDTH, height=0.0, layer=layer)
        middle = bends[keys[len(keys) // 2]]
        middle.width, middle.height = max(BEND_WIDTH, arrow.label_width), arrow.label_height
        chains[arrow] = [top, *keys, bottom]
    return chains, bends


Neighbours = dict[str, dict[int, list[str]]]


def _neighbours(chains: Iterable[Sequence[str]]) -> Neighbours:
    """Return what each key is connected with: -1 above, +1 below."""
    found: Neighbours = defaultdict(lambda: {-1: [], 1: []})
    for chain in chains:
        for upper, lower in pairwise(chain):
            found[upper][1].append(lower)
            found[lower][-1].append(upper)
    return found


def _ordered(boxes: Mapping[str, Box], neighbours: Neighbours) -> list[list[Box]]:
    """Return the layers, each in the order in which its arrows cross least (nearly)."""
    layers: list[list[Box]] = [[] for _ in range(max((box.layer for box in boxes.values()), default=-1) + 1)]
    for box in boxes.values():
        layers[box.layer].append(box)
    place = {box.key: float(index) for layer in layers for index, box in enumerate(layer)}
    for sweep in range(SWEEPS):
        side = -1 if sweep % 2 == 0 else 1
        for layer in layers if side < 0 else reversed(layers):
            means = {box.key: _mean([place[key] for key in neighbours[box.key][side]], place[box.key]) for box in layer}
            layer.sort(key=lambda box: means[box.key])
            place.update({box.key: float(index) for index, box in enumerate(layer)})
    return layers


def _place_across(layers: Sequence[Sequence[Box]], neighbours: Neighbours) -> None:
    boxes = {box.key: box for layer in layers for box in layer}
    for layer in layers:
        _spread(layer, [0.0] * len(layer))
    for sweep in range(SWEEPS):
        side = -1 if sweep % 2 == 0 else 1
        for layer in layers if side < 0 else reversed(layers):
            wanted = [_mean([boxes[key].x for key in neighbours[box.key][side]], box.x) for box in layer]
            _spread(layer, wanted)


def _spread(layer: Sequence[Box], wanted: Sequence[float]) -> None:
    """Move the boxes of a layer towards where they want to be, keeping order and distance.

    Boxes that push one another form a block, which goes where its boxes want to be on average.
    """
    blocks: list[tuple[list[Box], list[float]]] = []  # boxes, and where each wants the block's first box
    for box, x in zip(layer, wanted, strict=True):
        blocks.append(([box], [x]))
        while len(blocks) > 1 and _start(blocks[-1]) < _start(blocks[-2]) + _offset(blocks[-2][0], blocks[-1][0][0]):
            later, earlier = blocks.pop(), blocks.pop()
            shift = _offset(earlier[0], later[0][0])
            blocks.append((earlier[0] + later[0], earlier[1] + [x - shift for x in later[1]]))
    for members, starts in blocks:
        x = _mean(starts, 0.0)
        for index, box in enumerate(members):
            box.x = x + _offset(members[:index], box) if index else x


def _start(block: tuple[list[Box], list[float]]) -> float:
    return _mean(block[1], 0.0)


def _offset(members: Sequence[Box], following: Box) -> float:
    """Return how far the centre of ``following`` is from that of the first member, all of them side by side."""
    first, *others = members
    return first.width / 2 + sum(GAP + box.width for box in others) + GAP + following.width / 2


def _place_down(layers: Sequence[Sequence[Box]]) -> None:
    y = 0.0
    for layer in layers:
        height = max(box.height for box in layer)
        for box in layer:
            box.y = y + height / 2
        y += height + LAYER_GAP


def _fit(layout: Layout, everything: Iterable[Box]) -> None:
    """Move all so that it begins at 0, and take its size."""
    boxes = list(everything)
    left = min((box.x - box.width / 2 for box in boxes), default=0.0)
    for box in boxes:
        box.x -= left
    layout.routes = {arrow: [(x - left, y) for x, y in points] for arrow, points in layout.routes.items()}
    layout.labels = {arrow: (x - left, y) for arrow, (x, y) in layout.labels.items()}
    layout.width = max((box.x + box.width / 2 for box in boxes), default=0.0)
    layout.height = max((box.y + box.height / 2 for box in boxes), default=0.0)


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
