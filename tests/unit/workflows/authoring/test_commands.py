"""What a step may say comes next, and the nonsense that is refused where it is said."""

from datetime import UTC, date, datetime, timedelta

import pytest

from django_ai.automation.workflows.authoring.current import get_context, step_context
from django_ai.automation.workflows.authoring.workflow import EmptyContext
from django_ai.automation.workflows.core import (
    complete,
    fail,
    goto,
    run_subflow,
    sleep,
    step,
    wait,
    wait_for_event,
    workflow,
)
from django_ai.automation.workflows.exceptions import ContextInvalid, InvalidCommand, OutsideStep, UnknownWorkflow
from django_ai.automation.workflows.machine.commands import Complete, Fail, Goto, RunSubflow, Sleep, Wait, WaitKind

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class Steps:
    def pay(self): ...


@pytest.fixture
def child():
    @workflow("child", version="7")
    class Child:
        @step(start=True)
        def only(self): ...

    return Child


@pytest.mark.parametrize("named", ["pay", Steps.pay, Steps().pay])
def test_a_step_is_named_by_itself_or_by_its_name_everywhere(named, child):
    assert goto(named) == Goto("pay")
    assert sleep(1, then=named).then == "pay"
    assert wait("x", then=named, on_timeout=named) == Wait(WaitKind.SIGNAL, "x", then="pay", on_timeout="pay")
    assert run_subflow(child, on_complete=named, on_timeout=named).on_complete == "pay"


@pytest.mark.parametrize("named", ["", 5, object(), b"pay"])
def test_what_is_no_step_is_refused(named, child):
    for command in (
        lambda: goto(named),
        lambda: sleep(1, then=named),
        lambda: wait("x", then=named),
        lambda: wait_for_event("x", on_timeout=named),
        lambda: run_subflow(child, on_complete=named),
    ):
        with pytest.raises(InvalidCommand, match="takes a step as self"):
            command()


def test_goto_needs_a_step():
    with pytest.raises(InvalidCommand, match=r"goto\(\)"):
        goto(None)


def test_sleep_takes_a_timedelta_seconds_or_a_moment():
    assert sleep(DAY) == Sleep(delay=DAY)
    assert sleep(0.5).delay == timedelta(milliseconds=500)
    assert sleep(until=NOON, then="pay") == Sleep(until=NOON, then="pay")
    assert sleep(0).delay == timedelta(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either a delay or until="),
        ({"delay": DAY, "until": NOON}, "either a delay or until="),
        ({"delay": -DAY}, "must not be negative"),
        ({"delay": -1}, "must not be negative"),
        ({"delay": "soon"}, "timedelta or seconds, not 'soon'"),
        ({"delay": float("nan")}, "timedelta or seconds"),
        ({"delay": float("inf")}, "timedelta or seconds"),
        ({"delay": 10**30}, "timedelta or seconds"),
        ({"until": NOON.replace(tzinfo=None)}, "aware datetime"),
        ({"until": date(2026, 1, 1)}, "aware datetime"),
        ({"until": "noon"}, "aware datetime"),
        ({"until": 5}, "aware datetime"),
        ({"delay": 1, "progress": "half"}, "progress='half' is not a number"),
        ({"delay": 1, "progress": 10**400}, "is not a number from 0 to 1"),
    ],
)
def test_a_sleep_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(InvalidCommand, match=message):
        sleep(**options)


@pytest.mark.parametrize("make", [wait, wait.for_signal])
def test_a_wait_for_a_signal_has_two_spellings(make):
    assert make("x", timeout=5, correlate="{id}", progress=1) == Wait(
        WaitKind.SIGNAL, "x", timeout=timedelta(seconds=5), correlate="{id}", progress=1.0
    )


@pytest.mark.parametrize("make", [wait.for_event, wait_for_event])
@pytest.mark.parametrize("since", [None, DAY, NOON])
def test_a_wait_for_an_event_has_two_spellings(make, since):
    assert make("x", since=since) == Wait(WaitKind.EVENT, "x", since=since)


def test_a_decorator_leaves_the_function_as_it_is():
    def asks(self):
        return 1

    assert wait("x")(asks) is asks


@pytest.mark.parametrize("make", [wait, wait_for_event])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": ""}, "needs a name"),
        ({"name": None}, "needs a name"),
        ({"name": lambda self: None}, "needs a name"),
        ({"name": "n" * 201}, "at most 200 characters"),
        ({"timeout": -1}, "timeout= must not be negative"),
        ({"timeout": "soon"}, "timeout= takes a timedelta"),
        ({"correlate": 42}, "correlate= takes a text"),
        ({"progress": object()}, "not a number"),
    ],
)
def test_a_wait_that_makes_no_sense_is_refused(make, options, message):
    with pytest.raises(InvalidCommand, match=message):
        make(**{"name": "x", **options})


@pytest.mark.parametrize("since", [-DAY, NOON.replace(tzinfo=None), "yesterday"])
def test_an_event_cannot_be_looked_for_in_the_future_or_at_no_time(since):
    with pytest.raises(InvalidCommand, match="since="):
        wait_for_event("x", since=since)


def test_a_child_is_named_by_its_class_or_name_and_the_rest_is_its_context(child):
    expected = RunSubflow("child", "7", "pay", context={"amount": 5}, timeout=DAY)
    assert run_subflow(child, on_complete="pay", timeout=DAY, amount=5) == expected
    assert run_subflow("child", on_complete="pay", timeout=DAY, amount=5) == expected


@pytest.mark.parametrize("workflow", ["nobody", Steps, 42])
def test_a_child_that_is_no_workflow_is_refused(workflow):
    with pytest.raises(UnknownWorkflow):
        run_subflow(workflow, on_complete="pay")


def test_a_child_cannot_take_negative_time(child):
    with pytest.raises(InvalidCommand, match="timeout= must not be negative"):
        run_subflow(child, on_complete="pay", timeout=-DAY)


def test_complete_tells_the_display_from_the_fields():
    assert complete(display_title="Done", total=5) == Complete({"total": 5}, {"display_title": "Done"})


def test_fail_makes_a_text_of_its_reason():
    assert fail(ValueError("late")) == Fail("late")
    assert fail() == Fail("")


def test_get_context_outside_of_a_step_is_an_error_that_says_so():
    with pytest.raises(OutsideStep, match="outside of a running step"):
        get_context()


def test_get_context_returns_the_context_of_the_innermost_step():
    outer, inner = EmptyContext(), EmptyContext()
    with step_context(outer):
        with step_context(inner):
            assert get_context() is inner
        assert get_context() is outer
    with pytest.raises(RuntimeError):
        get_context()


def test_get_context_takes_the_class_that_a_step_expects_and_refuses_another():
    class Other(EmptyContext): ...

    with step_context(EmptyContext()):
        assert isinstance(get_context(EmptyContext), EmptyContext)
        with pytest.raises(ContextInvalid, match=r"has a EmptyContext, not a .*Other"):
            get_context(Other)
