"""What a wait may say of the signals that it takes, and where a mistake in that is found."""

from functools import wraps

import pytest
from pydantic import BaseModel, RootModel, SecretStr

from django_ai.automation.workflows.authoring.reading import signals_of
from django_ai.automation.workflows.core import complete, goto, step, wait, wait_for_event, workflow
from django_ai.automation.workflows.exceptions import DeclarationError, InvalidCommand
from django_ai.automation.workflows.machine.payloads import Accepts

SIGNED = "signed"


class Decision(BaseModel):
    approved: bool


class Loose(BaseModel, extra="allow"):
    approved: bool


class Unsuitable(BaseModel):
    approved: bool

    def __init_subclass__(cls, *, reason, **kwargs): ...


class Number(RootModel[int]):
    pass


class Context(BaseModel):
    approved: bool = False
    order_id: int = 0
    token: SecretStr = SecretStr("hush")


def helper():
    return wait(SIGNED)


def unknown_helper():
    return [wait][0]("anything")


def known_signals(**body):
    cls = workflow("reads_signals")(type("ReadsSignals", (), {"Context": Context, **body}))
    return signals_of(cls.__workflow_definition__)


def test_a_wait_says_what_it_takes():
    assert wait("x", fields=["approved"]).accepts == Accepts.of_fields(["approved"], fresh=False)
    assert wait.for_signal("x", payload=Decision, fresh=True).accepts == Accepts.of_model(Decision, fresh=True)
    assert wait("x", fresh=True).accepts == Accepts(fresh=True)
    assert wait("x").accepts is None


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"fields": "approved"}, "takes a list of names"),
        ({"fields": [1]}, "takes a list of names"),
        ({"fields": {"approved": bool}}, "takes a list of names"),
        ({"fields": ["approved"], "payload": Decision}, "either fields= or payload="),
        ({"payload": Decision(approved=True)}, "takes a pydantic model"),
        ({"payload": dict}, "takes a pydantic model"),
        ({"payload": Number}, "takes a pydantic model"),
        ({"payload": Loose}, "has extra='allow'"),
        ({"payload": Unsuitable}, "cannot be made to refuse unknown fields"),
        ({"fresh": "yes"}, "fresh= is True or False"),
        ({"correlate": "{order.id}"}, "only names of context fields"),
        ({"correlate": 7}, "takes a text"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(options, reason):
    with pytest.raises(InvalidCommand, match=reason):
        wait("x", **options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"fields": ["approve"]}, r"ReadsSignals.only: .*'approve', which the Context does not declare\. Did you mean"),
        ({"payload": type("Other", (BaseModel,), {"__annotations__": {"by": str}})}, "'by', which the Context does"),
        ({"correlate": "{order}"}, r"does not declare 'order'\. Did you mean 'order_id'\?"),
        ({"correlate": "{token}"}, "'token' is a secret"),
    ],
)
@pytest.mark.parametrize("decorator", [wait, wait_for_event])
def test_a_wait_on_a_step_is_checked_against_the_context_at_import(decorator, options, reason):
    if decorator is wait_for_event and "correlate" not in options:
        pytest.skip("an event has no such option")

    @decorator("x", **options)
    @step(start=True)
    def only(self): ...

    with pytest.raises(DeclarationError, match=reason):
        known_signals(only=only)


def test_the_signals_of_a_workflow_are_read_from_its_code():
    @step(start=True)
    def first(self):
        if self.context.approved:
            return wait.for_signal("approval", then=self.second)
        later = wait("reminder")
        return later if self.context.order_id else helper()

    @wait("answer", fields=["approved"])
    @step()
    def second(self):
        return wait_for_event("paid", then=self.last)

    @step()
    def last(self):
        return wait("last word")

    assert known_signals(first=first, second=second, last=last) == {
        "approval", "reminder", "signed", "answer", "last word",
    }  # fmt: skip


def test_a_workflow_that_waits_for_none_has_none():
    @step(start=True)
    def only(self):
        return complete()

    assert known_signals(only=only) == frozenset()


def test_a_name_that_only_the_run_knows_leaves_the_signals_open():
    @step(start=True)
    def only(self):
        return wait.for_signal(self.context.name)

    assert known_signals(only=only) is None


def test_a_command_that_cannot_be_read_leaves_the_signals_open():
    @step(start=True)
    def only(self):
        return unknown_helper()

    assert known_signals(only=only) is None


def test_a_computed_step_leaves_the_signals_known():
    @step(start=True)
    def only(self):
        return goto(self.context.name) if self.context.approved else wait("x")

    assert known_signals(only=only) == {"x"}


def test_a_decorator_that_may_return_a_wait_of_its_own_leaves_the_signals_open():
    def approved(function):
        @wraps(function)
        def inner(self):
            return function(self) if self.context.approved else wait("approval")

        return inner

    @step(start=True)
    @approved
    def only(self):
        return complete()

    assert known_signals(only=only) is None


def test_code_without_source_leaves_the_signals_open():
    space = {"step": step, "wait": wait}
    exec("@step(start=True)\ndef only(self):\n    return wait('x')", space)
    assert known_signals(only=space["only"]) is None
