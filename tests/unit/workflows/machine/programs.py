"""A workflow with a step of every kind, and a run of it that lives in memory as rows would hold it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel

from django_ai.automation.workflows.machine.commands import Wait, WaitKind
from django_ai.automation.workflows.machine.decide import begin, decide
from django_ai.automation.workflows.machine.definition import Retry, StepDefinition, WorkflowDefinition
from django_ai.automation.workflows.machine.state import RunState, Suspension, Transition
from django_ai.automation.workflows.machine.statuses import RUNNING, WorkflowStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Context(BaseModel):
    """What the programs carry."""

    number: int = 0
    key: str = "k"


def body(_self):
    """Never called: the machine sees only what a body gave."""


STEPS = [
    StepDefinition(name="plain", function=body, start=True),
    StepDefinition(name="stubborn", function=body, retry=Retry(max_attempts=5, base_delay=timedelta(0))),
    StepDefinition(name="asks", function=body, entry=Wait(WaitKind.SIGNAL, "answer", correlate="{key}")),
    StepDefinition(
        name="asks_for_a_day",
        function=body,
        entry=Wait(WaitKind.EVENT, "arrival", timeout=timedelta(days=1), on_timeout="plain"),
    ),
    StepDefinition(name="impatient", function=body, entry=Wait(WaitKind.SIGNAL, "answer", timeout=timedelta(hours=1))),
    StepDefinition(name="asks_wrongly", function=body, entry=Wait(WaitKind.SIGNAL, "answer", correlate="{gone}")),
    StepDefinition(name="form", function=body, action=object(), entry=Wait(WaitKind.FORM, "form")),
    StepDefinition(
        name="form_for_an_hour",
        function=body,
        action=object(),
        entry=Wait(WaitKind.FORM, "form_for_an_hour", timeout=timedelta(hours=1), on_timeout="plain"),
    ),
    StepDefinition(name="asks_halfway", function=body, entry=Wait(WaitKind.SIGNAL, "answer", progress=0.5)),
    StepDefinition(name="once", function=body, retry=Retry(max_attempts=1)),
]

DEFINITION = WorkflowDefinition(
    name="program",
    version="1",
    cls=object,
    context_class=Context,
    steps={step.name: step for step in STEPS},
    retry=Retry(max_attempts=3, base_delay=timedelta(seconds=10), non_retryable=(KeyError,)),
)


def policy(step: str) -> Retry:
    """Return the retry policy that holds for a step."""
    return DEFINITION.retry_of(DEFINITION.steps[step])


def run_at(status: WorkflowStatus, step: str = "plain", **changes) -> RunState:
    """Return a run of the program in this status, claimed once where it is running."""
    state = RunState(status=status, step=step, sequence=7, attempt=1, progress=0.25, context=Context())
    return replace(state, **changes)


def waiting(kind: WaitKind, step: str = "plain", **options) -> RunState:
    """Return a run of the program that waits."""
    suspension = Suspension(kind=kind, created_at=NOW, **options)
    attempt = 1 if kind is WaitKind.RETRY else 0
    return run_at(WorkflowStatus.SUSPENDED, step, attempt=attempt, suspension=suspension)


def applied(state: RunState, transition: Transition) -> RunState:
    """Return the run after the commit of a transition."""
    return RunState(
        status=transition.status,
        step=transition.step,
        sequence=transition.sequence,
        attempt=transition.attempt,
        progress=transition.progress,
        context=state.context if transition.context is None else transition.context,
        inputs=transition.inputs,
        failures=transition.failures,
        suspension=transition.suspension,
    )


class Run:
    """A run in memory: what the rows and the worker do around the machine, without either."""

    def __init__(self) -> None:
        context = Context()
        start = begin(DEFINITION, context, NOW)
        self.now = NOW
        self.claimed = False
        self.fences: list[tuple[int, int]] = []
        self.records = []
        self.state = applied(run_at(RUNNING, context=context), start)

    def claim(self) -> None:
        """Take the step, as a worker does that got the message or took over an expired lease."""
        self.state = replace(self.state, attempt=self.state.attempt + 1)
        self.claimed = True
        self.fences.append((self.state.sequence, self.state.attempt))

    def happen(self, happening) -> Transition:
        """Let something happen and commit what the machine makes of it."""
        transition = decide(DEFINITION, self.state, happening, self.now)
        self.state = applied(self.state, transition)
        self.claimed = False
        if transition.record:
            self.records.append(transition.record)
        return transition
