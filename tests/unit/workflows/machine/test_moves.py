"""Every pair of a status and a happening does what the table of moves says, and nothing else."""

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import get_args

import pytest

from django_ai.automation.workflows.exceptions import ContextInvalid, IllegalMove, WorkerLost
from django_ai.automation.workflows.machine.commands import Complete, Fail, Goto, RunSubflow, Sleep, Wait, WaitKind
from django_ai.automation.workflows.machine.decide import begin, decide
from django_ai.automation.workflows.machine.happenings import (
    Answered,
    Cancelled,
    Due,
    Happening,
    Raised,
    Retried,
    Returned,
    Started,
)
from django_ai.automation.workflows.machine.statuses import (
    CANCELLED,
    COMPLETED,
    FAILED,
    FINAL,
    MOVES,
    RUNNING,
    SUSPENDED,
    FailureKind,
    WorkflowStatus,
)

from .programs import DEFINITION, NOW, Context, applied, run_at, waiting

EXAMPLES = {
    Started: Started(),
    Returned: Returned(Complete(), Context(number=5)),
    Raised: Raised(ZeroDivisionError("boom")),
    Answered: Answered({"number": 5}),
    Due: Due(),
    Cancelled: Cancelled("enough"),
    Retried: Retried(),
}

ILLEGAL = sorted(
    ((status, kind) for status, kind in product(WorkflowStatus, EXAMPLES) if (status, kind) not in MOVES), key=str
)


def test_there_is_an_example_of_every_happening():
    assert set(EXAMPLES) == set(get_args(Happening))


@pytest.mark.parametrize(("status", "kind"), ILLEGAL, ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.parametrize("definition", [DEFINITION, None], ids=["known", "unknown"])
def test_an_illegal_move_raises_and_changes_nothing(status, kind, definition):
    state = waiting(WaitKind.SIGNAL, name="x") if status is SUSPENDED else run_at(status)
    before = deepcopy(state)
    with pytest.raises(IllegalMove, match=str(status)):
        decide(definition, state, EXAMPLES[kind], NOW)
    assert state == before


def test_no_happening_but_a_retry_leads_out_of_a_final_status():
    leaving = {(status, happening) for status, happening in MOVES if status in FINAL}
    assert leaving == {(FAILED, Retried)}


def returned(command):
    return Returned(command, Context())


OVERDUE = {"due_at": NOW - timedelta(seconds=1), "name": "x"}

# (run, what happens, the status that follows): together they reach every status that the table allows.
LEGAL = [
    (run_at(RUNNING), returned(Goto("stubborn")), RUNNING),
    (run_at(RUNNING), returned(Goto("asks")), SUSPENDED),
    (run_at(RUNNING), returned(Goto("form")), SUSPENDED),
    (run_at(RUNNING), returned(Sleep(timedelta(1))), SUSPENDED),
    (run_at(RUNNING), returned(Wait(WaitKind.SIGNAL, "x")), SUSPENDED),
    (run_at(RUNNING), returned(RunSubflow("child", "1", "plain")), SUSPENDED),
    (run_at(RUNNING), returned(Complete()), COMPLETED),
    (run_at(RUNNING), returned(Fail("no")), FAILED),
    (run_at(RUNNING, "stubborn"), Raised(OSError()), RUNNING),
    (run_at(RUNNING), Raised(OSError()), SUSPENDED),
    (run_at(RUNNING, attempt=3), Raised(OSError()), FAILED),
    (run_at(RUNNING), Cancelled(), CANCELLED),
    (waiting(WaitKind.SIGNAL, name="x", then="plain"), Answered(), RUNNING),
    (waiting(WaitKind.EVENT, name="x", then="asks"), Answered(), SUSPENDED),
    (waiting(WaitKind.SIGNAL, name="x"), Answered(), COMPLETED),
    (waiting(WaitKind.CHILD, name="x", then="plain"), Answered(), RUNNING),
    (waiting(WaitKind.SIGNAL, name="x", then="asks_wrongly"), Answered(), FAILED),
    (waiting(WaitKind.SIGNAL, on_timeout="plain", **OVERDUE), Due(), RUNNING),
    (waiting(WaitKind.TIMER, then="plain", **OVERDUE), Due(), RUNNING),
    (waiting(WaitKind.RETRY, resumes_body=True, **OVERDUE), Due(), RUNNING),
    (waiting(WaitKind.TIMER, then="form", **OVERDUE), Due(), SUSPENDED),
    (waiting(WaitKind.TIMER, **OVERDUE), Due(), COMPLETED),
    (waiting(WaitKind.EVENT, **OVERDUE), Due(), FAILED),
    (waiting(WaitKind.FORM, "form"), returned(Goto("plain")), RUNNING),
    (waiting(WaitKind.FORM, "form"), returned(Sleep(timedelta(1))), SUSPENDED),
    (waiting(WaitKind.FORM, "form"), returned(Complete()), COMPLETED),
    (waiting(WaitKind.FORM, "form"), returned(Fail("no")), FAILED),
    (waiting(WaitKind.FORM, "form_for_an_hour", on_timeout="plain", **OVERDUE), Due(), RUNNING),
    (waiting(WaitKind.SIGNAL, name="x"), Cancelled(), CANCELLED),
    (run_at(FAILED), Retried(), RUNNING),
    (run_at(FAILED, "asks", attempt=0), Retried(), SUSPENDED),
    (run_at(FAILED, is_repeatable=False), Retried(force=True), RUNNING),
    (run_at(FAILED), Retried(force=True, is_awaited=False), RUNNING),
]


@pytest.mark.parametrize(("state", "happening", "status"), LEGAL)
def test_a_legal_move_leads_to_its_status_and_forward(state, happening, status):
    before = deepcopy(state)
    transition = decide(DEFINITION, state, happening, NOW)
    assert transition.status is status
    assert (transition.suspension is not None) == (status is SUSPENDED)
    assert state == before
    of_the_visit = transition.attempt and isinstance(happening, Raised | Due) and status not in FINAL
    assert transition.sequence == state.sequence + (0 if of_the_visit else 1)


def test_the_examples_reach_every_status_of_the_table():
    reached = {(state.status, type(happening), status) for state, happening, status in LEGAL}
    allowed = {(before, kind, after) for (before, kind), afters in MOVES.items() if before for after in afters}
    assert reached == allowed


@pytest.mark.parametrize(("start", "status"), [("plain", RUNNING), ("asks", SUSPENDED), ("form", SUSPENDED)])
def test_a_run_begins_at_its_start_step(start, status):
    steps = {name: replace(step, start=name == start) for name, step in DEFINITION.steps.items()}
    transition = begin(replace(DEFINITION, steps=steps), Context(), NOW)
    assert (transition.step, transition.status, transition.sequence) == (start, status, 1)


@pytest.mark.parametrize("kind", sorted(set(WaitKind) - {WaitKind.FORM}))
def test_a_body_cannot_return_while_its_run_waits_for_something_else_than_a_form(kind):
    with pytest.raises(IllegalMove, match=kind):
        decide(DEFINITION, waiting(kind, name="x"), EXAMPLES[Returned], NOW)


@pytest.mark.parametrize("kind", [WaitKind.TIMER, WaitKind.RETRY, WaitKind.FORM])
def test_timers_and_forms_take_no_answer(kind):
    with pytest.raises(IllegalMove, match=kind):
        decide(DEFINITION, waiting(kind, name="x"), EXAMPLES[Answered], NOW)


@pytest.mark.parametrize("due_at", [None, NOW + timedelta(microseconds=1)])
@pytest.mark.parametrize("kind", list(WaitKind))
def test_a_wait_is_not_due_before_its_time(kind, due_at):
    with pytest.raises(IllegalMove, match="not come"):
        decide(DEFINITION, waiting(kind, name="x", due_at=due_at), Due(), NOW)


def test_a_suspended_run_without_a_wait_is_reported_and_not_moved():
    with pytest.raises(IllegalMove, match="without waiting"):
        decide(DEFINITION, run_at(SUSPENDED), Due(), NOW)


def test_an_answer_that_does_not_fit_moves_nothing():
    state = waiting(WaitKind.SIGNAL, name="x", then="plain")
    before = deepcopy(state)
    with pytest.raises(ContextInvalid, match="number"):
        decide(DEFINITION, state, Answered({"number": "many"}), NOW)
    assert state == before


@pytest.mark.parametrize("happening", [Due(), Cancelled()])
def test_a_wait_for_a_child_that_is_given_up_says_so(happening):
    state = waiting(WaitKind.CHILD, on_timeout="plain", **OVERDUE)
    assert decide(DEFINITION, state, happening, NOW).gives_up_child


def test_a_run_whose_workflow_is_unknown_still_wakes_fails_and_is_cancelled():
    asleep = waiting(WaitKind.TIMER, then="plain", **OVERDUE)
    assert decide(None, asleep, Due(), NOW).status is RUNNING
    assert decide(None, asleep, Cancelled(), NOW).status is CANCELLED
    assert decide(None, run_at(RUNNING, attempt=3), Raised(OSError()), NOW).status is FAILED


def test_waking_from_a_back_off_keeps_the_attempts_the_failures_and_the_visit():
    failing = decide(DEFINITION, run_at(RUNNING, attempt=2), Raised(OSError("again")), NOW)
    assert failing.suspension.due_at == NOW + timedelta(seconds=20)
    asleep = run_at(
        SUSPENDED,
        attempt=failing.attempt,
        sequence=failing.sequence,
        failures=failing.failures,
        suspension=failing.suspension,
    )
    woken = decide(DEFINITION, asleep, Due(), NOW + timedelta(seconds=20))
    assert (woken.status, woken.attempt, woken.sequence) == (RUNNING, 2, 7)
    assert woken.failures == failing.failures


@pytest.mark.parametrize(
    ("state", "happening"),
    [
        (waiting(WaitKind.SIGNAL, name="x", then="asks_wrongly"), Answered()),
        (waiting(WaitKind.CHILD, on_timeout="asks_wrongly", **OVERDUE), Due()),
        (waiting(WaitKind.TIMER, then="asks_wrongly", **OVERDUE), Due()),
    ],
)
def test_a_wait_that_cannot_be_made_fails_the_run_at_the_step_that_declares_it(state, happening):
    transition = decide(DEFINITION, state, happening, NOW)
    assert (transition.status, transition.step) == (FAILED, "asks_wrongly")
    assert "'{gone}'" in transition.error


def slept(step, command, **changes):
    """Return what becomes of a run whose step rested a day."""
    state = run_at(RUNNING, step, **changes)
    asleep = decide(DEFINITION, state, returned(command), NOW)
    later = NOW + timedelta(days=1)
    return decide(DEFINITION, applied(state, asleep), Due(), later)


def test_a_step_that_slept_goes_on_without_waiting_again_for_what_has_come():
    woken = slept("asks", Sleep(timedelta(days=1)), inputs={"subflow_result": {}})
    assert (woken.status, woken.step, woken.attempt) == (RUNNING, "asks", 0)
    assert woken.inputs == {"subflow_result": {}}


def test_a_sleep_that_names_its_own_step_enters_it_anew():
    woken = slept("asks", Sleep(timedelta(days=1), then="asks"))
    assert (woken.status, woken.suspension.kind) == (SUSPENDED, WaitKind.SIGNAL)


def test_a_form_that_slept_is_asked_for_again():
    woken = slept("form", Sleep(timedelta(days=1)))
    assert (woken.status, woken.suspension.kind) == (SUSPENDED, WaitKind.FORM)


@pytest.mark.parametrize(("step", "progress"), [("asks", 0.25), ("asks_halfway", 0.5)])
def test_a_wait_that_decorates_a_step_may_say_how_far_the_run_is(step, progress):
    assert decide(DEFINITION, run_at(RUNNING), returned(Goto(step)), NOW).progress == progress


def test_a_form_is_open_as_long_as_it_says():
    opened = decide(DEFINITION, run_at(RUNNING), returned(Goto("form_for_an_hour")), NOW)
    assert (opened.suspension.due_at, opened.suspension.on_timeout) == (NOW + timedelta(hours=1), "plain")


def test_a_childs_end_resumes_even_a_parent_whose_context_no_longer_fits():
    state = replace(waiting(WaitKind.CHILD, name="x", then="plain"), context=None)
    transition = decide(DEFINITION, state, Answered(inputs={"subflow_result": {}}), NOW)
    assert (transition.status, transition.context) == (RUNNING, None)
    with pytest.raises(ContextInvalid):
        decide(DEFINITION, state, Answered({"number": 1}), NOW)


def test_a_childs_result_outlasts_the_wait_that_its_step_begins_with():
    state = waiting(WaitKind.CHILD, name="x", then="asks")
    asking = decide(DEFINITION, state, Answered(inputs={"subflow_result": {"run_id": 1}}), NOW)
    assert (asking.status, asking.inputs) == (SUSPENDED, {"subflow_result": {"run_id": 1}})
    asked = run_at(SUSPENDED, "asks", attempt=0, inputs=asking.inputs, suspension=asking.suspension)
    assert decide(DEFINITION, asked, Answered({"number": 1}), NOW).inputs == asking.inputs


def test_an_attempt_that_only_found_the_attempts_used_up_is_not_counted():
    transition = decide(DEFINITION, run_at(RUNNING, attempt=4), Raised(WorkerLost("given up")), NOW)
    assert (transition.status, transition.record.attempts, transition.error) == (FAILED, 3, "given up")


def test_the_statuses_offer_what_djangos_choices_offer():
    assert WorkflowStatus.values == ["running", "suspended", "completed", "failed", "cancelled"]
    assert WorkflowStatus.labels == ["Running", "Suspended", "Completed", "Failed", "Cancelled"]
    assert WorkflowStatus.choices == list(zip(WorkflowStatus.values, WorkflowStatus.labels, strict=True))


@pytest.mark.parametrize(
    ("changes", "happening", "reason"),
    [
        ({"is_repeatable": False}, Retried(), "fail\\(\\) at step 'plain'"),
        ({}, Retried(is_awaited=False), "parent"),
        ({"is_repeatable": False}, Retried(is_awaited=False), "fail"),
    ],
)
@pytest.mark.parametrize("definition", [DEFINITION, None], ids=["known", "unknown"])
def test_a_retry_of_what_was_decided_is_refused_without_force(changes, happening, reason, definition):
    with pytest.raises(IllegalMove, match=reason) as refused:
        decide(definition, run_at(FAILED, **changes), happening, NOW)
    assert "force=True" in str(refused.value)


@pytest.mark.parametrize("status", [RUNNING, SUSPENDED, COMPLETED, CANCELLED])
def test_force_makes_no_other_status_retryable(status):
    with pytest.raises(IllegalMove, match=str(status)):
        decide(DEFINITION, run_at(status), Retried(force=True), NOW)


@pytest.mark.parametrize(
    ("state", "happening", "kind", "is_retryable"),
    [
        (run_at(RUNNING), returned(Fail("no")), FailureKind.FAIL, False),
        (run_at(RUNNING), returned(Fail("no", retryable=True)), FailureKind.FAIL, True),
        (waiting(WaitKind.FORM, "form"), returned(Fail("no")), FailureKind.FAIL, False),
        (run_at(RUNNING, attempt=3), Raised(OSError()), FailureKind.EXCEPTION, True),
        (run_at(RUNNING, attempt=4), Raised(WorkerLost("given up")), FailureKind.EXCEPTION, True),
        (waiting(WaitKind.SIGNAL, name="x", then="asks_wrongly"), Answered(), FailureKind.EXCEPTION, True),
        (waiting(WaitKind.EVENT, **OVERDUE), Due(), FailureKind.TIMEOUT, True),
    ],
)
def test_a_run_that_fails_says_how(state, happening, kind, is_retryable):
    transition = decide(DEFINITION, state, happening, NOW)
    assert (transition.failure_kind, transition.retryable) == (kind, is_retryable)


def test_no_other_move_keeps_how_a_run_failed():
    transition = decide(DEFINITION, run_at(FAILED), Retried(), NOW)
    assert (transition.failure_kind, transition.retryable) == (None, None)


def test_a_wait_that_failed_its_run_begins_again_for_as_long_as_before():
    began = NOW - timedelta(hours=1)
    missed = replace(waiting(WaitKind.SIGNAL, name="x", then="plain", due_at=NOW).suspension, created_at=began)
    again = decide(DEFINITION, run_at(FAILED, attempt=0, missed=missed), Retried(), NOW)
    assert (again.status, again.suspension.then) == (SUSPENDED, "plain")
    assert (again.suspension.created_at, again.suspension.due_at) == (NOW, NOW + timedelta(hours=1))
