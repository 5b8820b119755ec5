"""Code as users write it: what a checker has to infer, and the mistakes that it has to find.

mypy and Pyright read this file; nothing runs it. Each `type: ignore` is a mistake. Both checkers complain of one that
they do not need, so a mistake that is no longer found is a fault too.
"""

from datetime import timedelta
from typing import assert_type

from django.contrib.auth.models import User
from pydantic import BaseModel

from django_ai.automation.events import EventDefinition, callbacks, emit, on_event, subscribe
from django_ai.automation.events.models import Event
from django_ai.automation.testing import Workflows, workflow_testing
from django_ai.automation.workflows.core import (
    Command,
    Django,
    Retry,
    SubflowResult,
    WorkflowStatus,
    complete,
    engine,
    event_workflow,
    fail,
    get_context,
    goto,
    run_subflow,
    sleep,
    step,
    wait,
    wait_for_event,
    workflow,
)
from django_ai.automation.workflows.exceptions import IllegalMove, SignalRejected, WorkflowError
from django_ai.automation.workflows.machine.commands import Complete, Fail, Goto, RunSubflow, Sleep, Wait
from django_ai.automation.workflows.metadata import FieldGroup, StepDisplayMetadata
from django_ai.automation.workflows.models import Suspension, WorkflowRun
from django_ai.automation.workflows.permissions import OwnerOrStaff
from django_ai.automation.workflows.statezero_action import statezero_action


@workflow("child", version="2", default_retry=Retry(max_attempts=2, base_delay=timedelta(seconds=1)))
class Child:
    class Context(BaseModel):
        total: int = 0

    context: Context

    @step(start=True)
    def only(self) -> Complete:
        assert_type(get_context(Child.Context), Child.Context)
        assert_type(get_context(self.Context).total, int)
        assert_type(self.context.total, int)
        self.context.total = "three"  # type: ignore[assignment]
        get_context(self.Context).totals  # type: ignore[attr-defined]  # noqa: B018
        return complete(total=3, display_title="Done")


@event_workflow("order_placed", offset_minutes=-60, debounce=timedelta(minutes=1))
class Parent(OwnerOrStaff):
    class Context(BaseModel):
        total: int = 0

    @step(start=True, retry=Retry(), queue="slow", atomic=False)
    def begin(self) -> Goto | Sleep | Wait | RunSubflow | Fail:
        assert_type(goto(self.form, progress=0.5), Goto)
        assert_type(goto("form"), Goto)
        assert_type(goto(self.form, 0.5), Goto)
        assert_type(run_subflow(Child, self.ended, total=1), RunSubflow)
        assert_type(sleep(timedelta(days=1), then=self.form), Sleep)
        assert_type(wait("name"), Wait)
        assert_type(wait.for_signal("name", timeout=60, on_timeout="form"), Wait)
        assert_type(wait_for_event("name", correlate="{total}", since=timedelta(days=1)), Wait)
        assert_type(fail("no"), Fail)
        return run_subflow(Child, on_complete=self.ended, total=1)

    @step(title="The end", visible=False)
    def ended(self, subflow_result: SubflowResult[Child.Context]) -> Complete | Fail:
        assert_type(subflow_result.context, Child.Context)
        assert_type(subflow_result.status, WorkflowStatus)
        assert_type(subflow_result.error, str | None)
        return complete() if subflow_result.status == WorkflowStatus.COMPLETED else fail(subflow_result.error or "")

    @statezero_action(name="fill_in")
    @step(display=StepDisplayMetadata(field_groups=[FieldGroup("Order", field_names=["amount"])]))
    def form(self, amount: int) -> Complete:
        return complete(total=amount)

    @wait_for_event("paid")
    @step()
    def paid(self) -> Command:
        return goto(self.ended)

    @step()
    def astray(self) -> Command:
        return "paid"  # type: ignore[return-value]


# Decorators leave classes and methods what they are.
assert_type(Child(), Child)
assert_type(Child().only(), Complete)
assert_type(Parent().form(3), Complete)


def use_the_engine(user: User, run: WorkflowRun) -> None:
    assert_type(engine.start("child", total=1), WorkflowRun)
    assert_type(engine.start(Child), WorkflowRun)
    assert_type(engine.using(owner=user, idempotency_key="key", tags=["vip"]).start(Child), WorkflowRun)
    assert_type(engine.signal("name", {"total": 3}, run=run), int)
    assert_type(engine.signal("name", correlate=42), int)
    assert_type(engine.cancel(run, "why"), WorkflowRun)
    assert_type(engine.retry(run.pk), WorkflowRun)
    assert_type(engine.retry(run, force=True), WorkflowRun)
    assert_type(fail("no", display_title="Sorry", retryable=True), Fail)
    run.retry(force=True)
    run.cancel("why")
    assert_type(run.waits_for, Suspension | None)
    assert_type(WorkflowStatus.RUNNING.is_final, bool)
    assert_type(WorkflowStatus.choices, list[tuple[str, str]])
    assert_type(WorkflowStatus.values, list[str])
    assert_type(WorkflowStatus.labels, list[str])
    assert_type(run.waiting_display["display_title"], str | None)


def handle_errors() -> None:
    try:
        engine.signal("name")
    except SignalRejected as error:
        assert_type(error.rejections, list[tuple[int, str]])
        assert_type(error.accepted, int)
    except (IllegalMove, WorkflowError):
        raise


def use_events(user: User) -> None:
    assert_type(emit("paid", user, {"amount": 3}, correlate=7), Event)
    subscribe("key", len, event="paid", offset=timedelta(days=1))
    EventDefinition("paid", date_field="at", condition=lambda row: row.open, data=lambda row: {"a": row.a})


@on_event("paid", offset_minutes=5)
def handler(event: Event) -> str:
    return event.event_name


@callbacks.on_event(event_name="paid")
def old_handler(event: Event) -> None: ...


assert_type(handler(Event()), str)


def use_the_kit() -> None:
    with workflow_testing() as workflows:
        assert_type(workflows, Workflows)
        assert_type(workflows.drain(), int)
        workflows.advance(timedelta(days=1))
        assert_type(workflows.run(Child, total=3), WorkflowRun)
        assert_type(workflows.finish(engine.start("child")), WorkflowRun)


def mistakes(run: WorkflowRun) -> None:
    engine.start()  # type: ignore[call-arg]
    engine.start(3)  # type: ignore[arg-type]
    engine.signal("name", "payload")  # type: ignore[arg-type]
    engine.signal("name", run="12")  # type: ignore[arg-type]
    engine.cancel(None)  # type: ignore[arg-type]
    goto(3)  # type: ignore[arg-type]
    sleep("a day")  # type: ignore[arg-type]
    wait.for_signal("name", timeout="a day")  # type: ignore[arg-type]
    wait.for_signal("name", on_time_out="step")  # type: ignore[call-arg]
    run_subflow(Child)  # type: ignore[call-arg]
    Retry(max_attempts="3")  # type: ignore[arg-type]
    Retry(attempts=3)  # type: ignore[call-arg]
    workflow(name=3)  # type: ignore[arg-type]
    step(retry=3)  # type: ignore[arg-type]
    step(atomic="no")  # type: ignore[arg-type]
    EventDefinition("paid", date_field=3)  # type: ignore[arg-type]
    StepDisplayMetadata(title="No")  # type: ignore[call-arg]
    assert run.waits_for is None or run.waits_for.kind


class Sale(BaseModel):
    buyer: Django[User]
    seller: Django[User] | None = None


def rows_in_a_context(sale: Sale) -> None:
    assert_type(sale.buyer, User)
    assert_type(sale.seller, User | None)
    assert_type(sale.buyer.username, str)
    sale.buyer = "nobody"  # type: ignore[assignment]
