"""The mixed load: each kind of workflow, whose steps write the ledger."""

from __future__ import annotations

import random
import time
from datetime import timedelta

from pydantic import BaseModel

from django_ai.automation.workflows.core import (
    Retry,
    SubflowResult,
    complete,
    event_workflow,
    fail,
    goto,
    run_subflow,
    sleep,
    step,
    wait,
    wait_for_event,
    workflow,
)
from django_ai.automation.workflows.statezero_action import statezero_action
from tests.acceptance.chaos.project.models import Entry

# A worker that is killed costs an attempt, and here they are killed all the time.
PATIENT = Retry(max_attempts=100, base_delay=timedelta(seconds=0.2), max_delay=timedelta(seconds=1), backoff_factor=1.5)

NAP = timedelta(seconds=0.5)
DEADLINE = timedelta(seconds=1.5)
LONG_AGO = timedelta(hours=1)


class Steps:
    """What every workflow of the load can do."""

    def write(self, step: str, *, atomic: bool = True, note: object = "") -> None:
        """Write the ledger, and take a moment, so that there is something to interrupt."""
        Entry.objects.create(visit=self.idempotency_key, step=step, atomic=atomic, note=str(note))
        time.sleep(random.choices((0, 0.02, 0.3, 4), (50, 40, 9, 1))[0])


@workflow("chain", default_retry=PATIENT)
class Chain(Steps):
    @step(start=True)
    def one(self):
        self.write("one")
        return goto(self.two)

    @step()
    def two(self):
        self.write("two")
        return goto(self.three)

    @step()
    def three(self):
        self.write("three")
        return goto(self.four)

    @step()
    def four(self):
        self.write("four")
        return complete()


@workflow("shaky", default_retry=PATIENT)
class Shaky(Steps):
    @step(start=True)
    def first(self):
        self.write("first")
        return goto(self.shake)

    @step()
    def shake(self):
        self.write("shake")
        if random.random() < 0.5:
            raise OSError("shaken")
        return complete()


@workflow("hopeless", default_retry=PATIENT)
class Hopeless(Steps):
    @step(start=True)
    def first(self):
        self.write("first")
        return goto(self.breaks)

    @step(retry=Retry(max_attempts=3, base_delay=timedelta(seconds=0.2)))
    def breaks(self):
        self.write("breaks")
        raise OSError("no hope")


@workflow("sleeper", default_retry=PATIENT)
class Sleeper(Steps):
    class Context(BaseModel):
        naps: int = 0

    @step(start=True)
    def nap(self):
        self.write("nap")
        self.context.naps += 1
        return sleep(NAP) if self.context.naps < 3 else goto(self.rise)

    @step()
    def rise(self):
        self.write("rise")
        return complete()


@workflow("letters", default_retry=PATIENT)
class Letters(Steps):
    class Context(BaseModel):
        number: int = 0
        numbers: list[int] = []

    @step(start=True)
    def ask(self):
        self.write("ask")
        return wait("letter", then=self.read)

    @step()
    def read(self):
        self.context.numbers.append(self.context.number)
        self.write("read", note=self.context.number)
        return goto(self.ask) if len(self.context.numbers) < 3 else complete()


@workflow("deadline", default_retry=PATIENT)
class Deadline(Steps):
    class Context(BaseModel):
        key: str

    @step(start=True)
    def ask(self):
        self.write("ask")
        return wait("reply", correlate="{key}", then=self.answered, timeout=DEADLINE, on_timeout=self.late)

    @step()
    def answered(self):
        self.write("answered")
        return complete()

    @step()
    def late(self):
        self.write("late")
        return complete()


@workflow("child", default_retry=PATIENT)
class Child(Steps):
    class Context(BaseModel):
        succeeds: bool

    @step(start=True)
    def play(self):
        self.write("play")
        return goto(self.end)

    @step()
    def end(self):
        self.write("end")
        return complete() if self.context.succeeds else fail("lost")


@workflow("parent", default_retry=PATIENT)
class Parent(Steps):
    class Context(BaseModel):
        succeeds: bool

    @step(start=True)
    def send(self):
        self.write("send")
        return run_subflow(Child, on_complete=self.back, succeeds=self.context.succeeds)

    @step()
    def back(self, subflow_result: SubflowResult):
        self.write("back", note=subflow_result.status)
        return complete()


@workflow("form", default_retry=PATIENT)
class Form(Steps):
    @step(start=True)
    def draw(self):
        self.write("draw")
        return goto(self.fill)

    @statezero_action(name="chaos_fill")
    @step()
    def fill(self, text: str):
        self.write("fill", note=text)
        return goto(self.check)

    @step()
    def check(self):
        self.write("check")
        return complete()


@workflow("bill", default_retry=PATIENT)
class Bill(Steps):
    class Context(BaseModel):
        order: int

    @step(start=True)
    def send(self):
        self.write("send")
        return wait_for_event("chaos_paid", correlate="{order}", since=LONG_AGO, then=self.book)

    @step()
    def book(self):
        self.write("book")
        return complete()


@event_workflow("chaos_paid", name="receipt", default_retry=PATIENT)
class Receipt(Steps):
    @step(start=True)
    def send(self):
        self.write("send")
        return complete()


@workflow("outside", default_retry=PATIENT)
class Outside(Steps):
    @step(start=True, atomic=False)
    def call(self):
        self.write("call", atomic=False)
        return goto(self.book)

    @step()
    def book(self):
        self.write("book")
        return goto(self.thank)

    @step(atomic=False)
    def thank(self):
        self.write("thank", atomic=False)
        return complete()


@workflow("endless", default_retry=PATIENT)
class Endless(Steps):
    class Context(BaseModel):
        depth: int = 0

    @step(start=True)
    def linger(self):
        self.write("linger")
        if self.context.depth:
            return wait("never")
        return run_subflow("endless", on_complete=self.linger, depth=1)


@workflow("quick", default_retry=PATIENT)
class Quick(Steps):
    @step(start=True)
    def act(self):
        Entry.objects.create(visit=self.idempotency_key, step="act")
        return complete()
