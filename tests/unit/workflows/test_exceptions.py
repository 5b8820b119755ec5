"""Each fault is of the one family, says what is wrong by itself, and tells whether it may heal."""

import inspect

import pytest
from pydantic import BaseModel, ValidationError

from django_ai.automation.workflows import exceptions
from django_ai.automation.workflows.exceptions import (
    SignalRejected,
    WorkflowError,
    describe,
    pydantic_reasons,
)

FAMILY = [value for value in vars(exceptions).values() if inspect.isclass(value) and issubclass(value, WorkflowError)]


@pytest.mark.parametrize("kind", FAMILY)
def test_the_docstring_is_the_message_until_there_is_a_better_one(kind):
    assert inspect.getdoc(kind)
    assert str(kind()) == kind.__doc__
    assert str(kind("a better one")) == "a better one"


@pytest.mark.parametrize("kind", FAMILY)
def test_only_what_the_surroundings_cause_is_worth_another_attempt(kind):
    assert kind.retryable == (
        kind.__name__ in {"CommitUnknown", "LeaseLost", "NotDeployed", "StepTimedOut", "WorkerLost"}
    )


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("UnknownWorkflow", LookupError),
        ("UnknownWorkflow", ValueError),
        ("DeclarationError", ValueError),
        ("DuplicateWorkflow", ValueError),
        ("UnknownStep", LookupError),
        ("ContextInvalid", ValueError),
        ("ContextMissing", ValueError),
        ("InvalidCommand", ValueError),
        ("SignalRejected", ValueError),
        ("NotACommand", TypeError),
        ("OutsideStep", RuntimeError),
    ],
)
def test_a_fault_is_also_what_python_calls_it(name, builtin):
    assert issubclass(getattr(exceptions, name), builtin)


def test_a_rejected_signal_names_each_run_and_counts_the_others():
    error = SignalRejected("no", rejections=[(7, "number: not a number")], accepted=2)
    assert (error.rejections, error.accepted) == ([(7, "number: not a number")], 2)
    assert (SignalRejected().rejections, SignalRejected().accepted) == ([], 0)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError(" late \n"), "ValueError: late"),
        (ValueError(), "ValueError"),
        (exceptions.WaitTimedOut("too late"), "too late"),
        (exceptions.WorkerLost(), exceptions.WorkerLost.__doc__),
        (ValueError("a\0b"), "ValueError: a\\x00b"),
        (ValueError("\udc80"), "ValueError: \\udc80"),
    ],
)
def test_an_exception_is_described_by_one_line_that_a_database_takes(error, line):
    assert describe(error) == line


def test_pydantics_reasons_name_each_field():
    class Inner(BaseModel):
        count: int

    class Outer(BaseModel):
        inner: Inner
        name: str

    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"inner": {"count": "many"}})
    reasons = pydantic_reasons(caught.value.errors())
    assert reasons.startswith("inner.count: Input should be a valid integer")
    assert "; name: Field required" in reasons


def test_a_reason_without_a_field_concerns_the_context():
    class Empty(BaseModel):
        pass

    with pytest.raises(ValidationError) as caught:
        Empty.model_validate(5)
    assert pydantic_reasons(caught.value.errors()).startswith("context: ")
