"""What happens to a few runs between a start and an end: each story is lived again with each crash."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from django_ai.automation.events import emit
from django_ai.automation.events.models import Event
from django_ai.automation.workflows.core import (
    Retry,
    complete,
    engine,
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
from django_ai.automation.workflows.models import Signal, WorkflowRun
from django_ai.automation.workflows.runtime import forms
from django_ai.automation.workflows.statezero_action import statezero_action
from tests.app.models import Note

from .world import World

# A crash counts as an attempt, and a story has more crashes than a step of a sane project.
PATIENT = Retry(max_attempts=1000, base_delay=timedelta(0))
HOUR = timedelta(hours=1)


class Notes(BaseModel):
    text: str = ""
    naps: int = 0


def note(text: str) -> None:
    """Write a row that must be there exactly as often as the step that wrote it."""
    Note.objects.create(text=text)


def begun(world: World, cls: type) -> WorkflowRun:
    """Start a run, however often that takes."""
    return world.client(lambda: engine.start(cls), done=lambda: WorkflowRun.objects.order_by("pk").first())


def has(run: WorkflowRun, status: str, step: str | None = None) -> Callable[[], bool]:
    runs = WorkflowRun.objects.filter(pk=run.pk, status=status)
    return (runs.filter(current_step=step) if step else runs).exists


def sent(run: WorkflowRun, kind: str) -> Callable[[], int | None]:
    return lambda: Signal.objects.filter(run=run, kind=kind).count() or None


def steps(world: World) -> None:
    @workflow("steps", default_retry=PATIENT)
    class Steps:
        Context = Notes

        @step(start=True)
        def first(self):
            note("first")
            self.context.text += "1"
            return goto(self.second)

        @step()
        def second(self):
            note("second")
            self.context.text += "2"
            return complete(display_title="Done")

    world.until(has(begun(world, Steps), "completed"))


def outside(world: World) -> None:
    @workflow("outside", default_retry=PATIENT)
    class Outside:
        Context = Notes

        @step(start=True, atomic=False)
        def call(self):
            note(f"outside {self.idempotency_key.rpartition(':')[2]}")
            return goto(self.book)

        @step()
        def book(self):
            note("booked")
            return complete()

    world.until(has(begun(world, Outside), "completed"))


def broken(world: World) -> None:
    @workflow("broken", default_retry=Retry(max_attempts=3, base_delay=timedelta(seconds=1)))
    class Broken:
        Context = Notes

        @step(start=True)
        def breaks(self):
            note("never kept")
            self.context.text = "never kept"
            raise OSError("away")

    world.until(has(begun(world, Broken), "failed"))


def repaired(world: World) -> None:
    @workflow("repaired", default_retry=PATIENT)
    class Repaired:
        Context = Notes

        @step(start=True)
        def decline(self):
            note("declined")
            return fail("declined", retryable=True)

    run = begun(world, Repaired)
    world.until(has(run, "failed"))
    again = WorkflowRun.objects.filter(pk=run.pk).exclude(sequence=2)
    world.client(lambda: engine.retry(run, force=True), done=again.first)
    world.until(WorkflowRun.objects.filter(pk=run.pk, status="failed", sequence=4).exists)


def sleeper(world: World) -> None:
    @workflow("sleeper", default_retry=PATIENT)
    class Sleeper:
        Context = Notes

        @step(start=True)
        def nap(self):
            note(f"nap {self.context.naps}")
            self.context.naps += 1
            return sleep(1 if self.context.naps == 1 else HOUR, then=self.nap if self.context.naps < 3 else self.rise)

        @step()
        def rise(self):
            return complete()

    run = begun(world, Sleeper)
    for naps in (2, 3):
        world.until(WorkflowRun.objects.filter(pk=run.pk, status="suspended", data__naps=naps).exists)
        world.sleep(HOUR)
    world.until(has(run, "completed"))


def declare_asking(**options: Any) -> type:
    @workflow("asking", default_retry=PATIENT)
    class Asking:
        Context = Notes

        @step(start=True)
        def ask(self):
            note("asked")
            return wait("answer", then=self.answered, **options)

        @step()
        def answered(self):
            note(f"heard {self.context.text}")
            return complete()

        @step()
        def give_up(self):
            note("gave up")
            return complete()

    return Asking


def signal(world: World) -> None:
    run = begun(world, declare_asking())
    world.until(has(run, "suspended"))
    world.client(lambda: engine.signal("answer", {"text": "yes"}), done=sent(run, "signal"))
    world.until(has(run, "completed"))


def broadcast(world: World) -> None:
    cls = declare_asking()
    begun(world, cls)
    for number in (2, 3):
        started = WorkflowRun.objects.order_by("pk")[number - 1 :]
        world.client(lambda: engine.start(cls), done=started.first)
    waiting, ended = (WorkflowRun.objects.filter(status=status) for status in ("suspended", "completed"))
    world.until(lambda: waiting.count() == 3)
    world.client(lambda: engine.signal("answer", {"text": "all"}), done=lambda: Signal.objects.count() or None)
    world.until(lambda: ended.count() == 3)


def kept_signal(world: World) -> None:
    run = begun(world, declare_asking())
    world.client(lambda: engine.signal("answer", {"text": "yes"}, run=run), done=sent(run, "signal"))
    world.until(has(run, "completed"))


def time_out(world: World) -> None:
    run = begun(world, declare_asking(timeout=HOUR, on_timeout="give_up"))
    world.until(has(run, "suspended"))
    world.sleep(HOUR)
    world.until(has(run, "completed"))


def final_time_out(world: World) -> None:
    run = begun(world, declare_asking(timeout=timedelta(seconds=2)))
    world.until(has(run, "failed"))


def declare_family(ending: Callable[[], Any], **options: Any) -> type:
    @workflow("child", default_retry=PATIENT)
    class Child:
        Context = Notes

        @step(start=True)
        def play(self):
            note("played")
            return ending()

    @workflow("parent", default_retry=PATIENT)
    class Parent:
        class Context(Notes):
            active_subworkflow_run_id: int | None = None

        @step(start=True)
        def send(self):
            note("sent")
            return run_subflow(Child, on_complete=self.back, **options)

        @step()
        def back(self, subflow_result):
            note(f"back {subflow_result.status} {subflow_result.context.text} {subflow_result.error}")
            return complete()

        @step()
        def leave(self):
            note("left")
            return complete()

    return Parent


def child(world: World) -> None:
    run = begun(world, declare_family(lambda: complete(text="won")))
    world.until(has(run, "completed"))


def failing_child(world: World) -> None:
    run = begun(world, declare_family(lambda: fail("lost")))
    world.until(has(run, "completed"))


def child_too_late(world: World) -> None:
    run = begun(world, declare_family(lambda: wait("never"), timeout=HOUR, on_timeout="leave"))
    world.until(WorkflowRun.objects.filter(parent_run=run, status="suspended").exists)
    world.sleep(HOUR)
    world.until(has(run, "completed"))
    world.until(WorkflowRun.objects.filter(parent_run=run, status="cancelled").exists)


def cancelled(world: World) -> None:
    run = begun(world, declare_family(lambda: wait("never")))
    world.until(WorkflowRun.objects.filter(parent_run=run, status="suspended").exists)
    ended = WorkflowRun.objects.filter(pk=run.pk, status="cancelled")
    world.client(lambda: engine.cancel(run, "enough"), done=ended.first)
    world.until(WorkflowRun.objects.filter(parent_run=run, status="cancelled").exists)


def declare_form(**options: Any) -> type:
    @workflow("form", default_retry=PATIENT)
    class Form:
        Context = Notes

        @statezero_action(name="fill")
        @step(start=True, **options)
        def fill(self, text: str):
            note(f"outside {text}" if options else text)
            self.context.text = text
            return goto(self.check)

        @step()
        def check(self):
            note(f"checked {self.context.text}")
            return complete()

    return Form


def post_form(world: World, run: WorkflowRun) -> None:
    def post() -> int:
        return forms.submit(run.pk, forms.Post("fill", {"text": "filled"}), lambda moved: moved.sequence)

    def gone_on() -> int | None:
        # A form whose process died is closed until its lease has run out: the person comes back then.
        world.sleep(timedelta(seconds=3))
        return WorkflowRun.objects.filter(pk=run.pk, sequence__gt=1).count() or None

    world.client(post, done=gone_on)
    world.until(has(run, "completed"))


def form(world: World) -> None:
    post_form(world, begun(world, declare_form()))


def form_outside(world: World) -> None:
    post_form(world, begun(world, declare_form(atomic=False)))


def event(world: World) -> None:
    @workflow("paying", default_retry=PATIENT)
    class Paying:
        Context = Notes

        @step(start=True)
        def bill(self):
            note("billed")
            return wait_for_event("paid", then=self.book, correlate="{naps}")

        @step()
        def book(self):
            note(f"booked {self.context.text}")
            return complete()

    run = begun(world, Paying)
    world.until(has(run, "suspended"))
    world.client(lambda: emit("paid", data={"text": "cash"}, correlate="0"), done=Event.objects.first)
    world.until(has(run, "completed"))


def event_workflows(world: World) -> None:
    @event_workflow("ordered", default_retry=PATIENT)
    class Pack:
        Context = Notes

        @step(start=True)
        def pack(self):
            note("packed")
            return complete()

    @event_workflow("ordered", debounce=HOUR, default_retry=PATIENT)
    class Summarize:
        Context = Notes

        @step(start=True)
        def summarize(self):
            note("summarized")
            return complete()

    for number in (1, 2):
        emitted = Event.objects.filter(data__number=number)
        world.client(lambda number=number: emit("ordered", data={"number": number}), done=emitted.first)
    world.until(lambda: WorkflowRun.objects.filter(status="completed").count() == 2)
    world.sleep(HOUR)
    world.until(lambda: WorkflowRun.objects.filter(status="completed").count() == 3)


STORIES: list[Callable[[World], None]] = [
    steps,
    outside,
    broken,
    repaired,
    sleeper,
    signal,
    broadcast,
    kept_signal,
    time_out,
    final_time_out,
    child,
    failing_child,
    child_too_late,
    cancelled,
    form,
    form_outside,
    event,
    event_workflows,
]

# Those in which one task runs more than one step, if it may.
SEVERAL_STEPS = [steps, outside, sleeper, signal, time_out, child, form]
