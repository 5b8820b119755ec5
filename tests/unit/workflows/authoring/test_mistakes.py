"""What is wrong in the code of a step is found before it runs, with its line and what to write."""

import sys
from types import SimpleNamespace

import pytest
from pydantic import BaseModel, Field, model_validator

from django_ai.automation.workflows.authoring.graph import MistakeKind
from django_ai.automation.workflows.authoring.reading import read_graph
from django_ai.automation.workflows.authoring.workflow import declare
from django_ai.automation.workflows.core import complete, step, workflow

HEADER = """
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel

from django_ai.automation.workflows.core import (
    complete, fail, goto, run_subflow, sleep, step, wait, wait_for_event)

LONG = "x" * 201
NOTHING = None
WEEK = timedelta(days=7)
LATER = datetime(2030, 1, 1, tzinfo=UTC)

class Other:
    @step()
    def second(self):
        return complete()

class Written:
    class Context(BaseModel):
        total: int = 0

    @step(start=True)
    def first(self, given=None):
        {body}

    @step(aliases=["as_it_was"])
    def second(self):
        return complete()

    @step()
    def joined(self, subflow_result):
        return self.first() if given else complete()

    def helper(self):
        {helper}
"""
LINE = 25


class Child:
    class Context(BaseModel):
        email: str = Field(alias="mail")
        timeout: int = 0

    @step(start=True)
    def only(self):
        return complete()


class FillsIn(Child):
    class Context(Child.Context):
        @model_validator(mode="before")
        @classmethod
        def fill_in(cls, given):
            return {"mail": "a", **given}


@pytest.fixture(autouse=True)
def children():
    workflow("child")(Child)
    workflow("fills_in")(FillsIn)


@pytest.fixture
def mistakes(tmp_path, monkeypatch):
    """Return the mistakes of a step with this body, as their kinds, lines, texts and hints."""

    def read(body, helper="return None"):
        monkeypatch.syspath_prepend(tmp_path)
        path = tmp_path / "mistaken_workflow.py"
        path.write_text(HEADER.format(body=body, helper=helper))
        monkeypatch.delitem(sys.modules, "mistaken_workflow", raising=False)
        import mistaken_workflow

        graph = read_graph(declare(mistaken_workflow.Written, name="written", version="1", retry=None, queue=None))
        found = [item for item in graph.mistakes if item.step == "first"]
        assert all(item.place.file == str(path) for item in found)
        return [(item.kind, item.place.line, f"{item.text}. {item.hint}") for item in found]

    return read


@pytest.mark.parametrize(
    "body",
    [
        "return goto(self.second, progress=0.5)",
        "return goto(self.second if given else 'second')",
        "return goto(Written.second)",
        "return sleep(WEEK)",
        "return sleep(given, then=self.second)",
        "return sleep(given or None, until=given)",
        "return sleep(5, until=given)",
        "return run_subflow('child', on_complete=self.joined, mail='a', timeout=given)",
        "return sleep(until=given)",
        "return sleep(timedelta(days=given))",
        "return wait('x', timeout=60, on_timeout=self.second, then=self.second)",
        "return wait(given, **given)",
        "return wait_for_event('x', correlate='{total}', since=WEEK)",
        "return run_subflow('child', on_complete=self.joined, mail='a')",
        "return run_subflow('child', on_complete=self.joined, context={'mail': 'a', 'timeout': 5}, timeout=5)",
        "return run_subflow('child', on_complete=self.joined, context=given)",
        "return run_subflow('child', on_complete=self.joined, **given)",
        "return run_subflow(given, on_complete=self.joined, anything=1)",
        "return complete(total=5, display_title='Done')",
        "return fail(given)",
        "return self.helper()",
        "self.helper()\n        return complete()",
        "command = goto(self.second)\n        return command",
        "return goto(NOTHING) if NOTHING else sleep(5 if given else NOTHING)",
        "def inner(complete, *fail): complete(); fail(1, 2)\n        return self.helper()",
        "list(map(lambda goto: goto(1, x=2), ()))\n        return self.helper()",
        "return goto('as_it_was')",
        "return run_subflow('fills_in', on_complete=self.joined)",
    ],
)
def test_sound_code_has_no_mistakes(mistakes, body):
    assert mistakes(body) == []


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("goto(self.second)", "calls goto(…) and does not return it"),
        ("sleep(5)", "calls sleep(…) and does not return it"),
        ("wait.for_signal('x')", "calls wait.for_signal(…) and does not return it"),
        ("given and fail('no')", "calls fail(…) and does not return it"),
        ("goto(self.second) if given else complete()", "calls complete(…) and does not return it"),
        ("raise fail('no')", "raises fail(…), which is no exception"),
    ],
)
def test_a_command_that_is_lost_is_found(mistakes, statement, words):
    found = mistakes(f"{statement}\n        return complete()")
    assert {(kind, line) for kind, line, _ in found} == {(MistakeKind.LOST, LINE)}
    assert words in found[-1][2]
    assert "Write return " in found[-1][2]


def test_a_command_that_a_helper_loses_is_found_there(mistakes):
    [(kind, _, text)] = mistakes("return self.helper()", "goto(self.second)")
    assert (kind, "return goto" in text) == (MistakeKind.LOST, True)


def test_a_lost_command_leads_nowhere(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    body = "goto(self.second)\n        return run_subflow('child', on_complete=self.joined, mail='a')"
    (tmp_path / "losing_workflow.py").write_text(HEADER.format(body=body, helper="pass"))
    import losing_workflow

    graph = read_graph(declare(losing_workflow.Written, name="losing", version="1", retry=None, queue=None))
    assert "second" in [node.name for node in graph.unreachable()]


@pytest.mark.parametrize("body", ["return self.second()", "self.second()\n        return complete()"])
def test_a_step_that_is_called_as_a_function_is_found(mistakes, body):
    [(kind, line, text)] = mistakes(body)
    assert (kind, line) == (MistakeKind.CALLED_STEP, LINE)
    assert "calls the step self.second()" in text
    assert "return goto(self.second)" in text


def test_a_step_inside_a_step_is_found(mistakes):
    [(kind, line, text)] = mistakes("@step()\n        def inner(self): ...\n        return complete()")
    assert (kind, line) == (MistakeKind.NESTED, LINE + 1)
    assert "inner()" in text


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("goto(self.second())", "Leave out the parentheses: self.second."),
        ("goto(given or self.second())", "Leave out the parentheses"),
        ("wait('x', then=self.second())", "Leave out the parentheses"),
        ("goto(lambda: self.second)", "names a lambda"),
        ("goto(Other.second)", "names the step Other.second as the one that follows, which is of another class"),
        ("goto(None)", "not None"),
        ("goto(5)", "not 5"),
        ("goto()", "missing a required argument: 'step'"),
        ("goto(self.second, progres=1)", "takes no 'progres'. Did you mean 'progress'?"),
        ("goto(self.second, progress='half')", "is not a number"),
        ("sleep()", "either a delay or until="),
        ("sleep(5, until=LATER)", "either a delay or until="),
        ("sleep(-5)", "must not be negative"),
        ("sleep('5')", "takes a timedelta or seconds"),
        ("sleep(timedelta(days=-1))", "must not be negative"),
        ("wait(LONG)", "at most 200 characters"),
        ("wait('')", "needs a name"),
        ("wait('x', timout=5)", "takes no 'timout'. Did you mean 'timeout'?"),
        ("wait.for_signal('x', timeout='5')", "takes a timedelta or seconds"),
        ("wait_for_event('x', timeout=-WEEK)", "must not be negative"),
        ("run_subflow('chld', on_complete=self.joined)", "Did you mean 'child'?"),
        ("run_subflow('child')", "missing a required"),
        ("run_subflow('child', on_complete=self.joined, mal='a')", "takes no 'mal'. Did you mean 'mail'?"),
        ("run_subflow('child', on_complete=self.joined, email='a')", "takes no 'email'. Did you mean 'mail'?"),
        ("run_subflow('child', on_complete=self.joined, mail='a', timeout=5)", "takes 'timeout' too"),
        ("run_subflow('child', on_complete=self.joined, context={'mal': 1})", "takes no 'mal'"),
        ("run_subflow('child', on_complete=self.joined)", "'child' needs 'mail'"),
        ("complete('done')", "too many positional arguments"),
    ],
)
def test_a_call_that_a_command_refuses_is_found(mistakes, call, words):
    [(kind, line, text)] = mistakes(f"return {call}")
    assert (kind, line) == (MistakeKind.REFUSED, LINE)
    assert words in text


def test_a_field_that_complete_drops_is_found_with_the_one_that_was_meant(mistakes):
    [(kind, line, text)] = mistakes("return complete(totl=5)")
    assert (kind, line) == (MistakeKind.DROPPED, LINE)
    assert "completes with totl=" in text
    assert "Did you mean 'total'?" in text


@pytest.mark.parametrize(
    "command", ["goto(self.joined)", "wait('x', then=self.joined)", "wait('x', timeout=5, on_timeout='joined')"]
)
def test_a_way_to_a_step_without_its_child_s_result_is_found(mistakes, command):
    [(kind, line, text)] = mistakes(f"return {command}")
    assert (kind, line) == (MistakeKind.NO_RESULT, LINE)
    assert "leads to 'joined' without run_subflow" in text
    assert "subflow_result=None" in text


def hides(function):
    def hidden(self):
        return function(self)

    return hidden


other_library = SimpleNamespace(step=lambda: lambda function: function)


class Lost:
    @step(start=True)
    def first(self):
        return complete()

    @step()
    def twice(self):  # lost
        return complete()

    @step()
    def twice(self):  # noqa: F811
        return complete()

    @hides
    @step()
    def hidden(self):
        return complete()

    @other_library.step()
    def helper(self):
        return complete()


def test_methods_whose_step_is_lost_are_found():
    graph = read_graph(declare(Lost, name="lost", version="1", retry=None, queue=None))
    found = {item.step: item for item in graph.mistakes}
    assert {item.kind for item in found.values()} == {MistakeKind.HIDDEN}
    assert sorted(found) == ["hidden", "twice"]
    assert f"is defined again in line {found['twice'].place.line + 4}" in found["twice"].text
    assert found["twice"].place.file == __file__
    assert "functools.wraps" in found["hidden"].hint
