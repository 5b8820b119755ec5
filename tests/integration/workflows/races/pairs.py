"""Pairs of acts that race for one run, and what may have become of the run afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel

from django_ai.automation.workflows.core import complete, engine, goto, step, wait, workflow
from django_ai.automation.workflows.models import WorkflowRun
from django_ai.automation.workflows.runtime import forms, worker
from django_ai.automation.workflows.statezero_action import statezero_action

HOUR = timedelta(hours=1)

Act = Callable[[WorkflowRun], object]

# How a run stands, and who has moved it, in order.
Outcome = tuple[str, tuple[str, ...]]


class Winners(BaseModel):
    winners: list[str] = []
    winner: str = ""


def declare_asking() -> type:
    @workflow("asking")
    class Asking:
        Context = Winners

        @step(start=True)
        def ask(self):
            return wait("answer", timeout=HOUR, on_timeout=self.late, then=self.answered)

        @step()
        def answered(self):
            self.context.winners.append(self.context.winner)
            return goto(self.rest)

        @step()
        def late(self):
            self.context.winners.append("timeout")
            return goto(self.rest)

        @step()
        def rest(self):
            return wait("never")

    return Asking


def declare_form() -> type:
    @workflow("form")
    class Form:
        Context = Winners

        @statezero_action(name="race_for_it", timeout=HOUR, on_timeout="late")
        @step(start=True)
        def fill(self):
            self.context.winners.append("submit")
            return wait("never")

        @step()
        def late(self):
            self.context.winners.append("timeout")
            return wait("never")

    return Form


def declare_step() -> type:
    @workflow("one_step")
    class OneStep:
        Context = Winners

        @step(start=True)
        def act(self):
            self.context.winners.append("complete")
            return complete()

    return OneStep


def send(name: str) -> Act:
    def act(run: WorkflowRun) -> None:
        engine.signal("answer", {"winner": name}, run=run.pk)
        worker.deliver(run.pk)

    return act


def time_out(run: WorkflowRun) -> None:
    worker.wake(run.pk, run.sequence)


def submit(run: WorkflowRun) -> None:
    forms.submit(run.pk, forms.Post("race_for_it", {}), lambda moved: None)


def execute(run: WorkflowRun) -> None:
    worker.execute(run.pk, run.sequence, run.attempt)


def deliver(run: WorkflowRun) -> None:
    worker.deliver(run.pk)


def cancel(run: WorkflowRun) -> None:
    engine.cancel(run.pk)


@dataclass(frozen=True)
class Pair:
    """Two acts on a run of a workflow, and the outcomes that are right.

    Attributes:
        overdue: the run's time has run out when they begin.
        answered: a message lies in the run's inbox when they begin.
    """

    declare: Callable[[], type]
    acts: tuple[Act, Act]
    outcomes: tuple[Outcome, ...]
    overdue: bool = False
    answered: bool = False


CANCELLED: Outcome = ("cancelled", ())


def waits(*winners: str) -> Outcome:
    return "suspended", winners


PAIRS: dict[str, Pair] = {
    "signal x timeout": Pair(
        declare_asking, (deliver, time_out), (waits("signal"), waits("timeout")), overdue=True, answered=True
    ),
    "signal x signal": Pair(declare_asking, (send("one"), send("other")), (waits("one"), waits("other"))),
    "delivery x delivery": Pair(declare_asking, (deliver, deliver), (waits("signal"),), answered=True),
    "submit x timeout": Pair(declare_form, (submit, time_out), (waits("submit"), waits("timeout")), overdue=True),
    "submit x submit": Pair(declare_form, (submit, submit), (waits("submit"),)),
    "cancel x complete": Pair(declare_step, (cancel, execute), (CANCELLED, ("completed", ("complete",)))),
    "message x message": Pair(declare_step, (execute, execute), (("completed", ("complete",)),)),
}
