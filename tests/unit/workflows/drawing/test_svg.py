"""A graph becomes a picture that any program can read."""

from xml.etree import ElementTree as ET

import pytest

from django_ai.automation.workflows.authoring.graph import Edge, EdgeKind, Graph, Node
from django_ai.automation.workflows.drawing.svg import Marks, draw
from django_ai.automation.workflows.machine.commands import WaitKind
from django_ai.automation.workflows.machine.statuses import COMPLETED, FAILED

GRAPH = Graph(
    workflow="a <b> & c",
    version="1",
    nodes=(
        Node(name="ask", start=True),
        Node(name="wait", waits_for=WaitKind.FORM),
        Node(name="end", ends=(COMPLETED, FAILED)),
        Node(name="dark", readable=False),
    ),
    edges=(
        Edge(source="ask", target="wait", kind=EdgeKind.SIGNAL, label="go <now>"),
        Edge(source="ask", target="wait", kind=EdgeKind.TIMEOUT),
        Edge(source="wait", target="wait", kind=EdgeKind.SLEEP),
        Edge(source="wait", target="ask", kind=EdgeKind.GOTO),
        Edge(source="wait", target="end", kind=EdgeKind.CHILD, label="child"),
        Edge(source="end", target=None, kind=EdgeKind.GOTO),
        Edge(source="end", target="nowhere", kind=EdgeKind.GOTO),
    ),
)


def parsed(svg):
    return ET.fromstring(svg)


def texts(svg):
    return [element.text for element in parsed(svg).iter() if element.tag.rpartition("}")[2] == "text"]


def classes(svg):
    return [element.get("class") for element in parsed(svg).iter() if element.get("class")]


@pytest.mark.parametrize("standalone", [True, False])
def test_it_is_well_formed_and_has_every_step_and_label(standalone):
    svg = draw(GRAPH, standalone=standalone)
    assert set(texts(svg)) == {
        "ask",
        "wait",
        "end",
        "dark",
        "waits: form",
        "completes or fails",
        "its code cannot be read",
        "go <now>",
        "time-out",
        "sleep",
        "▸ child",
    }
    assert ("<style>" in svg) is standalone


def test_in_a_page_it_brings_no_style_that_a_security_policy_would_block():
    assert "style=" not in draw(GRAPH)


def test_where_a_run_has_been_is_marked():
    marks = Marks(steps={"ask": "done", "wait": "waiting"}, visits={"ask": 3}, ways=frozenset({("ask", "wait")}))
    svg = draw(GRAPH, marks)
    assert {"wf-node wf-node--done", "wf-node wf-node--waiting", "wf-node"} <= set(classes(svg))
    assert classes(svg).count("wf-edge wf-edge-gone") == 2  # to the first step, and on
    assert "3\N{MULTIPLICATION SIGN}" in texts(svg)


def test_a_workflow_without_steps_is_an_empty_picture():
    assert texts(draw(Graph(workflow="empty", version="1", nodes=(), edges=()))) == []
