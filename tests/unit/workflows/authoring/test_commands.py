"""What a step may say comes next, and the nonsense that is refused where it is said."""

from datetime import UTC, date, datetime, timedelta
from enum import Enum

import pytest
from pydantic import BaseModel

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
        class Context(BaseModel):
            amount: int = 0
            timeout: int = 0

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
    expected = RunSubflow("child", "7", "pay", context={"amount": 5}, progress=0.5)
    assert run_subflow(child, on_complete="pay", progress=0.5, amount=5) == expected
    assert run_subflow("child", on_complete="pay", progress=0.5, amount=5) == expected


def test_context_passes_the_fields_that_are_named_as_options(child):
    command = run_subflow(child, on_complete="pay", timeout=DAY, context={"timeout": 30}, amount=5)
    assert (command.timeout, command.context) == (DAY, {"timeout": 30, "amount": 5})
    assert run_subflow(child, on_complete="pay", timeout=DAY, context={}).timeout == DAY


def test_a_keyword_that_is_an_option_and_a_field_of_the_child_is_refused(child):
    with pytest.raises(InvalidCommand, match=r"'child' takes 'timeout' too\. .*context=\{'timeout': …\}"):
        run_subflow(child, on_complete="pay", timeout=30)


@pytest.mark.parametrize(
    ("keyword", "meant"),
    [("amont", "amount"), ("on_completed", "on_complete"), ("time_out", "timeout"), ("contxt", "context")],
)
def test_a_keyword_that_the_child_does_not_take_is_refused_with_the_one_that_was_meant(child, keyword, meant):
    with pytest.raises(InvalidCommand, match=rf"'child' takes no '{keyword}'\. Did you mean '{meant}'\?"):
        run_subflow(child, on_complete="pay", **{keyword: 5})
    with pytest.raises(InvalidCommand, match=rf"'child' takes no '{keyword}'"):
        run_subflow(child, on_complete="pay", context={keyword: 5})


def test_an_option_in_the_context_that_is_no_field_of_the_child_is_told_where_it_stands(child):
    with pytest.raises(InvalidCommand, match=r"has 'progress', an option: write progress= beside context="):
        run_subflow(child, on_complete="pay", context={"progress": 0.5})


def test_a_field_of_the_child_is_given_once_and_the_context_is_a_dict(child):
    with pytest.raises(InvalidCommand, match="'amount' twice"):
        run_subflow(child, on_complete="pay", context={"amount": 5}, amount=5)
    with pytest.raises(InvalidCommand, match="takes a dict of fields of 'child'"):
        run_subflow(child, on_complete="pay", context=(5,))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: goto("pay", progres=1), r"goto\(\) takes no 'progres'\. Did you mean 'progress'\?"),
        (goto, r"goto\(\): missing a required argument: 'step'"),
        (lambda: sleep(1, untill=2), r"sleep\(\) takes no 'untill'\. Did you mean 'until'\?"),
        (lambda: wait("x", timout=5), r"wait\.for_signal\(\) takes no 'timout'\. Did you mean 'timeout'\?"),
        (lambda: wait.for_event("x", field=5), r"wait_for_event\(\) takes no 'field'\."),
        (lambda: complete("done"), r"complete\(\): too many positional arguments"),
        (lambda: fail("no", 1, 2, 3, 4, 5, 6), r"fail\(\): too many positional arguments"),
    ],
)
def test_an_argument_that_a_command_does_not_take_is_refused_with_the_one_that_was_meant(call, sentence):
    with pytest.raises(InvalidCommand, match=sentence):
        call()


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (complete(), "the Complete that a call of one returned: leave out the parentheses"),
        (goto("pay"), "the Goto that a call of one returned"),
        (lambda: None, "not a lambda"),
        (None, "not None"),
        (["pay"], r"not \['pay'\]"),
    ],
)
def test_what_is_no_step_is_no_target(target, sentence):
    with pytest.raises(InvalidCommand, match=sentence):
        goto(target)


class Names(str, Enum):  # noqa: UP042 - whose text is not its value
    PAY = "pay"


def test_a_member_of_an_enumeration_counts_as_its_value(child):
    assert [type(name) for name in (goto(Names.PAY).step, wait(Names.PAY).name)] == [str, str]
    assert (goto(Names.PAY).step, wait(Names.PAY).name) == ("pay", "pay")


@pytest.mark.parametrize("time", ["5", True, [], float("nan")])
def test_a_time_is_a_timedelta_or_a_number(time):
    with pytest.raises(InvalidCommand, match="takes a timedelta or seconds"):
        sleep(time)
    with pytest.raises(InvalidCommand, match="takes a timedelta or seconds"):
        wait("x", timeout=time)


@pytest.mark.parametrize("workflow", ["nobody", Steps, 42])
def test_a_child_that_is_no_workflow_is_refused(workflow):
    with pytest.raises(UnknownWorkflow):
        run_subflow(workflow, on_complete="pay")


def test_a_child_cannot_take_negative_time(child):
    with pytest.raises(InvalidCommand, match="timeout= must not be negative"):
        run_subflow(child, on_complete="pay", timeout=-DAY, context={})


def test_complete_tells_the_display_from_the_fields():
    assert complete(display_title="Done", total=5) == Complete({"total": 5}, {"display_title": "Done"})


def test_fail_makes_a_text_of_its_reason():
    assert fail(ValueError("late")) == Fail("late")
    assert fail() == Fail("")


def test_get_context_outside_of_a_step_is_an_error_that_says_so():
    with pytest.raises(OutsideStep, match="the engine runs steps"):
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


def test_progress_follows_the_step_of_a_goto():
    assert goto("pay", 0.5) == goto("pay", progress=0.5)


def test_the_step_that_follows_a_child_follows_its_workflow(child):
    assert run_subflow(child, "pay", amount=3) == run_subflow(child, on_complete="pay", amount=3)
