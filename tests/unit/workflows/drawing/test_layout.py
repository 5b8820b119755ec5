"""Boxes and labels of any graph have places of their own, the same each time."""

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from django_ai.automation.workflows.drawing.layout import Arrow, Box, arrange

KEYS = "abcdefgh"
PAIRS = st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS)), unique=True, max_size=16)


def arranged(pairs, label_width=60.0):
    boxes = [Box(key=key, width=80.0 + 10 * index, height=30.0) for index, key in enumerate(KEYS)]
    arrows = [Arrow(source=a, target=b, label_width=label_width, label_height=18.0) for a, b in pairs]
    return arrange(boxes, arrows)


def overlap(one, other):
    """Say whether two (x, y, width, height) around their centres share room."""
    return all(abs(one[i] - other[i]) < (one[i + 2] + other[i + 2]) / 2 - 0.01 for i in (0, 1))


@given(PAIRS)
def test_no_boxes_and_labels_overlap(pairs):
    layout = arranged(pairs)
    places = [(box.x, box.y, box.width, box.height) for box in layout.boxes.values()]
    places += [(*point, 60.0, 18.0) for point in layout.labels.values()]
    assert not [two for two in combinations(places, 2) if overlap(*two)]


@given(PAIRS)
def test_all_is_inside_and_each_arrow_connects_its_boxes(pairs):
    layout = arranged(pairs)
    for box in layout.boxes.values():
        assert -0.01 <= box.x - box.width / 2 <= box.x + box.width / 2 <= layout.width + 0.01
        assert -0.01 <= box.y - box.height / 2 <= box.y + box.height / 2 <= layout.height + 0.01
    assert {(arrow.source, arrow.target) for arrow in layout.routes} == {(a, b) for a, b in pairs if a != b}
    for arrow, points in layout.routes.items():
        source, target = layout.boxes[arrow.source], layout.boxes[arrow.target]
        assert (points[0], points[-1]) == ((source.x, source.y), (target.x, target.y))
        heights = [y for _, y in points]
        assert heights == sorted(heights, reverse=heights[0] > heights[-1])


@given(PAIRS)
def test_the_same_graph_is_drawn_the_same(pairs):
    assert arranged(pairs) == arranged(pairs)


def test_a_chain_is_a_straight_line_from_top_to_bottom():
    layout = arranged(list(pairwise(KEYS)))
    assert len({round(box.x, 3) for box in layout.boxes.values()}) == 1
    heights = [layout.boxes[key].y for key in KEYS]
    assert heights == sorted(heights)


def test_a_way_back_leads_upward():
    layout = arranged([("a", "b"), ("b", "c"), ("c", "a")])
    points = layout.routes[Arrow(source="c", target="a", label_width=60.0, label_height=18.0)]
    assert points[0][1] > points[-1][1]


def test_a_thousand_steps_in_a_row_have_their_places():
    boxes = [Box(key=str(number), width=80.0, height=30.0) for number in range(1000)]
    layout = arrange(boxes, [Arrow(source=str(n), target=str(n + 1)) for n in range(999)])
    assert layout.boxes["999"].layer == 2 * 999


def test_nothing_takes_no_room():
    layout = arrange([], [])
    assert (layout.width, layout.height) == (0.0, 0.0)
