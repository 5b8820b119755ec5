"""The graph of a workflow is what its code says, and says what it does not know."""

import inspect
import runpy
import sys

import pytest

from django_ai.automation.workflows.authoring.graph import EdgeKind
from django_ai.automation.workflows.authoring.reading import read_graph
from django_ai.automation.workflows.authoring.workflow import declare
from django_ai.automation.workflows.core import complete, goto, run_subflow, sleep, step, wait
from django_ai.automation.workflows.machine.commands import WaitKind
from django_ai.automation.workflows.machine.statuses import COMPLETED, FAILED

from . import programs
from .programs import line


def graph(cls, name="graphed"):
    return read_graph(declare(cls, name=name, version="1", retry=None, queue=None))


def edges(of, kind=None):
    return {(edge.source, edge.target) for edge in of.edges if kind in (None, edge.kind)}


@pytest.fixture
def commands():
    graph(programs.Child, "child")
    return graph(programs.Commands)


def test_every_command_draws_its_edges(commands):
    assert edges(commands, EdgeKind.GOTO) == {
        ("first", "second"),
        ("first", "naps"),
        ("second", "naps"),
        ("entered", "last"),
        ("last", "form"),
        ("last", "late"),
    }
    assert edges(commands, EdgeKind.SLEEP) == {("naps", "naps"), ("naps", "asks")}
    assert edges(commands, EdgeKind.SIGNAL) == {("asks", "answered"), ("answered", "listens"), ("form", "last")}
    assert edges(commands, EdgeKind.EVENT) == {("listens", "paid"), ("paid", "delegates")}
    assert edges(commands, EdgeKind.CHILD) == {("delegates", "joined"), ("joined", "entered")}
    assert edges(commands, EdgeKind.TIMEOUT) == {
        ("asks", "late"),
        ("paid", "late"),
        ("delegates", "late"),
        ("entered", "late"),
        ("form", "late"),
    }


@pytest.mark.parametrize(
    ("source", "target", "comment"),
    [
        ("first", "second", "method"),
        ("first", "naps", "name"),
        ("asks", "late", "asks"),
        ("delegates", "joined", "child"),
        ("entered", "late", "decorator"),
    ],
)
def test_an_edge_knows_its_line(commands, source, target, comment):
    [edge] = [edge for edge in commands.edges if (edge.source, edge.target) == (source, target)]
    assert str(edge.place) == f"{programs.__file__}:{line(comment)}"


def test_an_edge_is_labelled_with_what_is_awaited(commands):
    labels = {(edge.source, edge.kind): edge.label for edge in commands.edges if edge.label}
    assert labels == {
        ("asks", EdgeKind.SIGNAL): "answer",
        ("asks", EdgeKind.TIMEOUT): "answer",
        ("answered", EdgeKind.SIGNAL): "again",
        ("listens", EdgeKind.EVENT): "paid",
        ("paid", EdgeKind.EVENT): "shipped",
        ("paid", EdgeKind.TIMEOUT): "shipped",
        ("delegates", EdgeKind.CHILD): "child",
        ("delegates", EdgeKind.TIMEOUT): "child",
        ("joined", EdgeKind.CHILD): "child",
        ("entered", EdgeKind.TIMEOUT): "entry",
        ("form", EdgeKind.SIGNAL): "the last step of the class",
    }


def test_a_node_says_what_the_step_waits_for_and_how_a_run_may_end_there(commands):
    nodes = {node.name: node for node in commands.nodes}
    assert list(nodes) == list(commands_of(programs.Commands))
    assert [name for name, node in nodes.items() if node.start] == ["first"]
    assert (nodes["entered"].waits_for, nodes["entered"].label) == (WaitKind.EVENT, "entry")
    assert (nodes["form"].waits_for, nodes["first"].waits_for) == (WaitKind.FORM, None)
    assert (nodes["late"].ends, nodes["first"].ends) == ((FAILED,), ())


def commands_of(cls):
    return [name for name, value in vars(cls).items() if hasattr(value, "__workflow_step__")]


def test_a_run_ends_where_nothing_follows_its_last_wait():
    waiting = graph(programs.LastWaits)
    assert (waiting.nodes[0].ends, waiting.edges) == ((COMPLETED,), ())


def test_a_sound_workflow_has_neither_missing_nor_unreachable_steps(commands):
    assert (commands.missing(), commands.unreachable()) == ((), ())


def test_commands_are_followed_through_variables_helpers_and_imports():
    helped = graph(programs.Helped)
    assert edges(helped) == {
        ("first", "by_variable"),
        ("first", "by_function"),
        ("first", "by_own_call"),
        ("by_variable", "by_import"),
        ("by_import", "by_class"),
        *((step, target) for step in ("by_function", "by_own_call") for target in edges_of_first()),
    }


def edges_of_first():
    return ("by_variable", "by_function", "by_own_call")


def test_inherited_steps_are_read_and_super_is_followed():
    heir = graph(programs.Heir)
    assert edges(heir) == {("first", "second"), ("second", "third")}
    second = next(node for node in heir.nodes if node.name == "second")
    assert second.ends == (COMPLETED,)
    assert heir.edges[0].place.line == line("inherited")


def test_a_step_has_the_name_of_its_attribute_whatever_its_function_is_called():
    renamed = graph(programs.Renamed)
    assert (edges(renamed), renamed.missing()) == ({("first", "second")}, ())
    assert renamed.nodes[1].ends == (COMPLETED,)


def test_a_target_that_only_the_run_knows_is_marked_and_silences_the_report_of_unreachable_steps():
    dynamic = graph(programs.Dynamic)
    [unknown] = [edge for edge in dynamic.edges if edge.target is None]
    assert (unknown.source, unknown.place.line) == ("first", line("unknown"))
    assert edges(dynamic) == {("first", None), ("second", "third")}
    assert dynamic.unreachable() == ()


def options():
    return {}


def elsewhere():
    return sys.modules[__name__]


COMMAND = goto("second")


@pytest.mark.parametrize(
    "body",
    [
        lambda self: goto(self.context.target),
        lambda self: goto(f"{self}"),
        lambda self: goto(*options()),
        lambda self: goto(**options()),
        lambda self: sleep(1, then=options()["then"]),
        lambda self: wait("name", **options()),
        lambda self: run_subflow("child", **options()),
        lambda self: options()["command"],
        lambda self: elsewhere().COMMAND,
        lambda self: COMMAND,
        lambda self: self.unheard_of(),
        "command = complete()\n        for command in options(): break\n        return command",
        "command = complete()\n        command, rest = options()\n        return command",
        "command = complete()\n        with options() as command: pass\n        return command",
        "command = complete()\n        match options():\n            case [command]: pass\n        return command",
        "given = given or complete()\n        return given",
    ],
)
def test_each_way_to_hide_a_target_is_seen(body, tmp_path, monkeypatch):
    hidden = module(body if isinstance(body, str) else f"return {sourced(body)}", tmp_path, monkeypatch)
    assert ("first", None) in edges(hidden)
    assert hidden.unreachable() == ()


def sourced(function):
    return inspect.getsource(function).split("self: ", 1)[1].strip().rstrip(",")


HEADER = """
from django_ai.automation.workflows.core import complete, fail, goto, run_subflow, sleep, step, wait
from tests.unit.workflows.authoring.test_graph import COMMAND, elsewhere, options

class Written:
    {extra}
    @step(start=True)
    def first(self, given=None):
        {body}

    @step()
    def second(self):
        return complete()
"""


def module(body, tmp_path, monkeypatch, extra="pass"):
    """Return the graph of a workflow whose first step has this body."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "written_workflow.py").write_text(HEADER.format(body=body, extra=extra))
    monkeypatch.delitem(sys.modules, "written_workflow", raising=False)
    import written_workflow

    return graph(written_workflow.Written)


@pytest.mark.parametrize(
    ("body", "target"),
    [
        ("return goto('nowhere')", "nowhere"),
        ("return goto(self.nowhere)", "nowhere"),
        ("return goto(self.helper)", "helper"),
        ("return sleep(1, then='nowhere')", "nowhere"),
        ("return wait('x', then='nowhere')", "nowhere"),
        ("return wait('x', timeout=1, on_timeout='nowhere')", "nowhere"),
        ("return run_subflow('c', on_complete='nowhere')", "nowhere"),
        ("return run_subflow('c', 'nowhere')", "nowhere"),
        ("return goto('nowhere', 0.5)", "nowhere"),
        ("return run_subflow('c', on_complete='second', on_timeout='nowhere')", "nowhere"),
    ],
)
def test_a_target_that_does_not_exist_is_found(body, target, tmp_path, monkeypatch):
    extra = "def helper(self): pass"
    [edge] = module(body, tmp_path, monkeypatch, extra).missing()
    assert (edge.source, edge.target, edge.place.line) == ("first", target, 9)
    assert edge.place.file == str(tmp_path / "written_workflow.py")


def test_a_step_may_be_named_as_it_was_before(tmp_path, monkeypatch):
    extra = "@step(aliases=['earlier'])\n    def later(self): return complete()\n"
    renamed = module("return goto('earlier')", tmp_path, monkeypatch, extra)
    assert (edges(renamed), renamed.missing()) == ({("first", "later")}, ())


@pytest.mark.parametrize("extra", ["def __init__(self): self.target = self.second", "def __getattr__(self, name): 0"])
def test_what_only_an_instance_has_is_unknown_and_not_missing(extra, tmp_path, monkeypatch):
    made = module("return goto(self.target)", tmp_path, monkeypatch, extra)
    assert (edges(made), made.missing()) == ({("first", None)}, ())


@pytest.mark.parametrize(
    "body",
    ["return complete()", "return None", "return", "raise ValueError", "return sleep(1)", "found = found = given"],
)
def test_a_step_that_nothing_leads_to_is_found(body, tmp_path, monkeypatch):
    [node] = module(body, tmp_path, monkeypatch).unreachable()
    assert (node.name, node.place.line) == ("second", 12)


@pytest.mark.parametrize("body", ["x = goto(self.second)\n        x = x or given\n        return x", "return given"])
def test_a_command_that_was_handed_in_is_unknown(body, tmp_path, monkeypatch):
    assert ("first", None) in edges(module(body, tmp_path, monkeypatch))


def test_without_source_the_graph_is_empty_and_says_so():
    names = {}
    exec(HEADER.format(body="return goto(self.nowhere)", extra="pass"), names)
    unread = graph(names["Written"])
    assert [(node.name, node.readable, node.place) for node in unread.nodes] == [
        ("first", False, None),
        ("second", False, None),
    ]
    assert (unread.edges, unread.place, unread.missing(), unread.unreachable()) == ((), None, (), ())


def test_the_timeout_of_a_decorated_wait_is_known_without_source():
    names = {}
    exec("from django_ai.automation.workflows.core import *\ndef asks(self): return complete()", names)
    asks = wait("x", timeout=1, on_timeout="asks")(step(start=True)(names["asks"]))
    [edge] = graph(type("Unread", (), {"asks": asks})).edges
    assert (edge.target, edge.kind, edge.place) == ("asks", EdgeKind.TIMEOUT, None)


def test_a_file_that_does_not_parse_any_more_is_unreadable(tmp_path, monkeypatch):
    module("return complete()", tmp_path, monkeypatch)
    import written_workflow

    (tmp_path / "written_workflow.py").write_text("class Half(")
    assert not any(node.readable for node in graph(written_workflow.Written).nodes)


def test_a_lambda_is_unreadable_and_does_no_harm():
    first = step(start=True)(lambda self: complete())
    assert [node.readable for node in graph(type("Lambda", (), {"first": first})).nodes] == [False]


def test_a_workflow_without_a_start_step_reaches_nothing_and_reports_nothing_unreachable():
    class Startless:
        @step()
        def alone(self):
            return complete()

    assert graph(Startless).unreachable() == ()


def test_names_of_the_surrounding_function_and_of_local_imports_are_known():
    made = graph(programs.made("second"))
    assert edges(made) == {("first", "second"), ("second", "first"), ("third", None)}
    assert made.nodes[1].ends == (COMPLETED,)


def test_a_name_that_is_not_assigned_yet_is_unknown():
    assert edges(graph(programs.unassigned())) == {("first", None)}


LOST_PACKAGE = """
from django_ai.automation.workflows.core import step

class Written:
    @step(start=True)
    def first(self):
        from .nowhere import goto
        return goto(self.first)
"""


def test_a_relative_import_outside_of_a_package_is_unknown(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(LOST_PACKAGE)
    names = runpy.run_path(str(path))
    assert edges(graph(names["Written"])) == {("first", None)}
