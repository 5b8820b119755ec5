"""A mistake in the code of a workflow fails the run at once, with a sentence that names it and what to write."""

import re
from dataclasses import dataclass
from datetime import timedelta

import pytest
from pydantic import BaseModel

from django_ai.automation.workflows.core import (
    complete,
    engine,
    get_context,
    goto,
    run_subflow,
    sleep,
    step,
    wait,
    workflow,
)
from django_ai.automation.workflows.exceptions import ContextInvalid, InvalidCommand, InvalidOption, OutsideStep
from django_ai.automation.workflows.machine.commands import Wait
from django_ai.automation.workflows.models import WorkflowRun

from .declared import reloaded

pytestmark = pytest.mark.django_db(transaction=True)


class Child:
    class Context(BaseModel):
        email: str

    @step(start=True)
    def only(self):
        return complete()


@pytest.fixture(autouse=True)
def child():
    return workflow("mistaken_child")(Child)


def declare_mistake(body, **options):
    @workflow("mistaken")
    class Mistaken:
        class Context(BaseModel):
            total: int = 0

        @step(start=True, **options)
        def first(self):
            return body(self)

        @step()
        def second(self):
            return complete()

        @step()
        def joined(self, subflow_result):
            return complete()

    return Mistaken


def failed(workflows, body):
    run = engine.start(declare_mistake(body))
    workflows.advance(timedelta(minutes=10))
    run = reloaded(run)
    visit = run.step_executions.last()
    assert (run.status, visit.attempts) == ("failed", 1), run.error
    return run.error


PLACE = rf"\({re.escape(__file__)}:\d+\)"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (lambda self: goto(self.secnd), rf"^Step Mistaken\.first {PLACE} uses self\.secnd, .*Did you mean 'second'\?"),
        (lambda self: self.totals, r"uses self\.totals, .*Data belongs to the Context: self\.context\.totals"),
        (lambda self: self.context.totl, r"reads 'totl' of its context, .*Did you mean 'total'\?"),
        (lambda self: None, rf"^Step Mistaken\.first {PLACE} returned nothing: .*Write return in front of goto\(\)"),
        (lambda self: self.second, r"returned the step 'second': write return goto\(self\.second\)"),
        (lambda self: "second", r"returned the step 'second'"),
        (lambda self: (goto(self.second), 5), r"returned several commands"),
        (lambda self: {"password": "secret"}, r"returned a dict; a step must return goto\(\)"),
        (lambda self: goto(self.second()), r"the Complete that a call of one returned: leave out the parentheses"),
        (lambda self: goto(lambda: None), r"not a lambda"),
        (lambda self: goto("secnd"), r"has no step 'secnd'\. Did you mean 'second'\?"),
        (lambda self: goto(self.second, progres=1), r"goto\(\) takes no 'progres'\. Did you mean 'progress'\?"),
        (lambda self: wait("x", timout=5), r"takes no 'timout'\. Did you mean 'timeout'\?"),
        (lambda self: sleep("5"), r"takes a timedelta or seconds"),
        (
            lambda self: run_subflow(Child, on_complete=self.joined, email="a", on_create=self.joined),
            r"'mistaken_child' takes no 'on_create'\. Did you mean 'on_complete'\?",
        ),
        (lambda self: run_subflow(Child, on_complete=self.joined), r"email: Field required"),
        (lambda self: engine.start(Child, emial="a"), r"takes no 'emial'\. Did you mean 'email'\?"),
    ],
)
def test_a_mistake_in_a_step_fails_the_run_without_another_attempt(workflows, body, sentence):
    assert re.search(sentence, failed(workflows, body))


def test_a_result_that_may_be_secret_is_not_in_the_error(workflows):
    assert "secret" not in failed(workflows, lambda self: {"password": "secret"})


def test_a_child_s_result_that_the_step_before_does_not_bring_is_named(workflows):
    run = engine.start(declare_mistake(lambda self: goto(self.joined)))
    workflows.advance(timedelta(minutes=10))
    run = reloaded(run)
    assert (run.status, run.step_executions.last().attempts) == ("failed", 1)
    assert re.search(rf"Step Mistaken\.joined {PLACE} takes 'subflow_result', .*subflow_result=None", run.error)


def test_an_attribute_error_of_something_else_is_tried_again(workflows):
    run = engine.start(declare_mistake(lambda self: (5).bit))
    workflows.advance(timedelta(minutes=10))
    assert reloaded(run).step_executions.last().attempts == 3


def test_a_class_that_a_decorator_changed_after_its_declaration_is_named(workflows):
    @dataclass
    @workflow("changed")
    class Changed:
        number: int

        @step(start=True)
        def first(self):
            return complete()

    run = engine.start("changed")
    workflows.advance(timedelta(minutes=10))
    run = reloaded(run)
    assert (run.status, run.step_executions.last().attempts) == ("failed", 1)
    assert "@dataclass makes an __init__ that needs number" in run.error


# Starting


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("ann@example.com", r"takes the context by name: start\(Child, email=…\)"),
        ({"email": "ann@example.com"}, r"takes a dict with two asterisks: start\(Child, \*\*\{…\}\)"),
        (Child.Context(email="ann@example.com"), r"its fields by name: start\(Child, \*\*context\.model_dump\(\)\)"),
    ],
)
def test_a_context_without_its_names_is_refused_with_what_to_write(given, sentence):
    with pytest.raises(ContextInvalid, match=sentence) as caught:
        engine.start(Child, given)
    assert "ann@example.com" not in str(caught.value)
    with pytest.raises(ContextInvalid, match=sentence):
        engine.using(tags=["new"]).start("mistaken_child", given)
    assert not WorkflowRun.objects.exists()


def test_a_keyword_that_the_workflow_does_not_take_is_refused_with_the_one_that_was_meant():
    with pytest.raises(ContextInvalid, match=r"'mistaken_child' takes no 'emial'\. Did you mean 'email'\?"):
        engine.start(Child, email="ann@example.com", emial="x")
    with pytest.raises(ContextInvalid, match=r"contexts\[1\]: .*takes no 'foo'\. It takes: email\."):
        engine.start_many(Child, [{"email": "a"}, {"email": "a", "foo": 1}])


@pytest.mark.parametrize("contexts", [{"email": "a"}, "email"])
def test_start_many_takes_a_list_of_dicts(contexts):
    with pytest.raises(ContextInvalid, match="takes a list of dicts"):
        engine.start_many(Child, contexts)


@pytest.mark.parametrize("context", [("a",), "a", None])
def test_each_of_many_contexts_is_a_dict(context):
    with pytest.raises(ContextInvalid, match=r"contexts\[0\]: .*starts with a dict of fields, start\(Child, email=…\)"):
        engine.start_many(Child, [context])


def test_the_names_of_fields_are_texts():
    with pytest.raises(ContextInvalid, match="takes fields by names that are texts, not 5"):
        engine.start_many(Child, [{5: "a"}])
    with pytest.raises(InvalidCommand, match="takes fields by names that are texts, not 5"):
        run_subflow(Child, "joined", context={5: "a"})


def test_an_argument_that_create_context_needs_is_named():
    @workflow("created")
    class Created:
        class Context(BaseModel):
            number: int

        @classmethod
        def create_context(cls, code):
            return cls.Context(number=int(code))

        @step(start=True)
        def first(self):
            return complete()

    with pytest.raises(ContextInvalid, match="create_context of 'created' needs 'code'"):
        engine.start("created")
    with pytest.raises(ContextInvalid, match=r"'created' takes no 'number'\. It takes: code\."):
        engine.start("created", number=5)


# Outside of a run


def test_a_step_that_is_called_by_hand_returns_its_command_and_does_nothing():
    cls = declare_mistake(lambda self: wait("x"))
    assert isinstance(cls().first(), Wait)
    assert not WorkflowRun.objects.exists()


@pytest.mark.parametrize(
    "body", [lambda self: self.context.total, lambda self: self.run_id, lambda self: get_context().total]
)
def test_a_step_that_is_called_by_hand_has_no_context_and_is_told_how_a_run_starts(body):
    with pytest.raises(OutsideStep, match=r"engine\.start"):
        declare_mistake(body)().first()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: engine.using(ower=1), r"engine\.using\(\) takes no 'ower'\. Did you mean 'owner'\?"),
        (lambda: engine.signal("x", paylod={}), r"engine\.signal\(\) takes no 'paylod'\. Did you mean 'payload'\?"),
        (lambda: engine.cancel(1, resaon="x"), r"engine\.cancel\(\) takes no 'resaon'\. Did you mean 'reason'\?"),
        (engine.retry, r"engine\.retry\(\): missing a required argument: 'run'"),
        (lambda: engine.using(tags=5), r"tags is a list of texts"),
        (lambda: engine.using(tags=[["a"]]), r"A tag must be 1 to 50 characters"),
    ],
)
def test_an_option_that_the_engine_does_not_take_is_refused_with_the_one_that_was_meant(call, sentence):
    with pytest.raises(InvalidOption, match=sentence):
        call()
