"""Random programs of commands, signals, time-outs, failures, duplicates and cancellations."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from django_ai.automation.workflows.exceptions import IllegalMove, WorkerLost, WorkflowError
from django_ai.automation.workflows.machine.commands import (
    CLOCKS,
    Complete,
    Fail,
    Goto,
    RunSubflow,
    Sleep,
    Wait,
    WaitKind,
)
from django_ai.automation.workflows.machine.happenings import (
    Answered,
    Cancelled,
    Due,
    Raised,
    Retried,
    Returned,
    Started,
)
from django_ai.automation.workflows.machine.statuses import (
    COMPLETED,
    FAILED,
    FINAL,
    MOVES,
    RUNNING,
    SUSPENDED,
    WorkflowStatus,
)

from .programs import DEFINITION, Context, Run, policy

steps = st.sampled_from([*DEFINITION.steps, *DEFINITION.steps, "nowhere"])
some_step = st.none() | steps
progress = st.none() | st.floats(allow_nan=True, allow_infinity=True)
pauses = st.sampled_from([timedelta(0), timedelta(seconds=1), timedelta(days=400), timedelta.max])
payloads = st.fixed_dictionaries(
    {}, optional={"number": st.integers(-9, 9) | st.just("many"), "key": st.text(max_size=3), "other": st.none()}
)

gotos = st.builds(Goto, steps, progress)
sleeps = st.builds(Sleep, delay=pauses, then=some_step, progress=progress)
waits = st.builds(
    Wait,
    st.sampled_from([WaitKind.SIGNAL, WaitKind.EVENT]),
    st.just("answer"),
    timeout=st.none() | pauses,
    on_timeout=some_step,
    then=some_step,
    correlate=st.sampled_from([None, "{key}", "{missing}"]),
    progress=progress,
)
subflows = st.builds(
    RunSubflow,
    st.just("child"),
    st.just("1"),
    steps,
    timeout=st.none() | pauses,
    on_timeout=some_step,
    progress=progress,
)
ends = st.builds(Complete, payloads) | st.builds(Fail, st.text(max_size=5))
no_commands = st.sampled_from([None, 3, {"a": 1}, "plain"])
# Ends are rare, so that programs become long.
commands = st.one_of(gotos, gotos, gotos, sleeps, sleeps, waits, waits, subflows, ends, no_commands)
errors = st.sampled_from([OSError("away"), OSError("away"), ValueError(), KeyError("no use"), WorkerLost()])


class Programs(RuleBasedStateMachine):
    """One run, to which anything happens in any order."""

    @initialize()
    def start(self):
        self.run = Run()
        self.highest = 0
        self.bodies = {}

    # What a worker does.

    @precondition(lambda self: self.run.state.status is RUNNING)
    @rule()
    def claim(self):
        """A worker takes the step; when another had it, that one died and its lease ran out."""
        self.run.claim()
        sequence, attempt = self.run.fences[-1]
        if attempt > policy(self.run.state.step).max_attempts:
            self.run.happen(Raised(WorkerLost("given up")))
            assert self.run.state.status is FAILED
            return
        self.bodies[sequence] = self.bodies.get(sequence, 0) + 1

    @precondition(lambda self: self.run.claimed)
    @rule(command=commands, context=st.builds(Context, number=st.integers(-9, 9)))
    def body_returns(self, command, context):
        before = self.run.state
        try:
            self.run.happen(Returned(command, context))
        except WorkflowError as error:
            assert self.run.state is before
            self.run.happen(Raised(error))
            assert self.run.state.status is FAILED, "a fault of the code is not retried"
        else:
            assert self.run.state.sequence == before.sequence + 1

    @precondition(lambda self: self.run.claimed)
    @rule(error=errors, chance=st.floats(0, 1))
    def body_raises(self, error, chance):
        before = self.run.state
        transition = self.run.happen(Raised(error, chance=chance))
        allowed = policy(before.step).allows(error, before.attempt)
        assert (self.run.state.status is FAILED) is not allowed
        if allowed:
            assert (transition.sequence, transition.attempt) == (before.sequence, before.attempt)
            assert len(transition.failures) == len(before.failures) + 1
        else:
            assert transition.record.attempts == before.attempt

    # What others do.

    @rule(delta=st.sampled_from([timedelta(seconds=1), timedelta(minutes=1), timedelta(days=2)]))
    def time_passes(self, delta):
        self.run.now += delta

    @precondition(lambda self: self.run.state.suspension and self.run.state.suspension.due_at)
    @rule()
    def its_time_comes(self):
        before = self.run.state
        self.run.now = max(self.run.now, before.suspension.due_at)
        self.run.happen(Due())
        if before.suspension.kind is WaitKind.RETRY:
            assert self.run.state.attempt == before.attempt >= 1, "a back-off does not refill the attempts"
            assert self.run.state.sequence == before.sequence
        elif before.suspension.kind not in CLOCKS and before.suspension.on_timeout is None:
            assert self.run.state.status is FAILED

    @precondition(lambda self: self.run.state.status is SUSPENDED)
    @rule(payload=payloads)
    def an_answer_comes(self, payload):
        before = self.run.state
        takes_it = before.suspension.kind in (WaitKind.SIGNAL, WaitKind.EVENT, WaitKind.CHILD)
        fits = payload.get("number") != "many"
        try:
            self.run.happen(Answered(payload))
        except WorkflowError:
            assert not (takes_it and fits)
            assert self.run.state is before
        else:
            assert takes_it
            assert fits
            assert self.run.state.sequence == before.sequence + 1

    @precondition(lambda self: self.run.state.suspension and self.run.state.suspension.kind is WaitKind.FORM)
    @rule(command=commands)
    def a_form_is_posted(self, command):
        before = self.run.state
        try:
            self.run.happen(Returned(command, Context()))
        except WorkflowError:
            assert self.run.state is before, "a form whose step fails keeps waiting"

    @precondition(lambda self: self.run.state.status not in FINAL)
    @rule(chance=st.integers(0, 9))
    def it_is_cancelled(self, chance):
        if not chance:
            self.run.happen(Cancelled("enough"))

    @precondition(lambda self: self.run.state.status is FAILED)
    @rule()
    def it_is_retried(self):
        before = self.run.state
        self.run.happen(Retried())
        assert self.run.state.step == before.step
        assert self.run.state.attempt == 0
        assert not self.run.state.failures

    @rule(
        happening=st.sampled_from(
            [Started(), Returned(Complete(), Context()), Raised(OSError()), Answered(), Due(), Cancelled(), Retried()]
        )
    )
    def what_its_status_does_not_allow_happens(self, happening):
        """A message that comes late or twice."""
        before = self.run.state
        if (before.status, type(happening)) not in MOVES:
            with pytest.raises(IllegalMove):
                self.run.happen(happening)
            assert self.run.state is before

    # What always holds.

    @invariant()
    def its_status_is_one_of_the_five_and_it_waits_exactly_when_suspended(self):
        assert isinstance(self.run.state.status, WorkflowStatus)
        assert (self.run.state.suspension is not None) == (self.run.state.status is SUSPENDED)

    @invariant()
    def its_step_exists(self):
        assert self.run.state.step in DEFINITION.steps

    @invariant()
    def its_attempts_stay_within_the_policy(self):
        for record in self.run.records:
            assert record.attempts <= policy(record.step).max_attempts
        assert self.run.state.attempt <= policy(self.run.state.step).max_attempts
        assert len(self.run.state.failures) <= self.run.state.attempt

    @invariant()
    def no_visit_runs_its_body_more_often_than_the_policy_allows(self):
        assert max(self.bodies.values(), default=0) <= max(policy(step).max_attempts for step in DEFINITION.steps)
        if self.run.state.status is RUNNING:
            ran = self.bodies.get(self.run.state.sequence, 0)
            assert ran <= policy(self.run.state.step).max_attempts

    @invariant()
    def its_progress_is_a_part_of_one(self):
        assert 0 <= self.run.state.progress <= 1
        assert self.run.state.status is not COMPLETED or self.run.state.progress == 1

    @invariant()
    def its_sequence_never_goes_back(self):
        assert self.run.state.sequence >= self.highest
        self.highest = self.run.state.sequence

    @invariant()
    def no_fence_is_given_twice(self):
        assert len(set(self.run.fences)) == len(self.run.fences)


TestPrograms = Programs.TestCase
# The same examples in every run: a red build is red again on the next machine.
TestPrograms.settings = settings(
    derandomize=True,
    deadline=None,
    max_examples=300,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
