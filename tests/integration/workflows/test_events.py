"""Events start workflows and answer waits, each occurrence exactly once."""

import threading
from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pydantic import BaseModel, Field

from django_ai.automation.events import emit
from django_ai.automation.events import scheduler as event_scheduler
from django_ai.automation.events.models import Event
from django_ai.automation.events.subscriptions import subscriptions
from django_ai.automation.workflows.core import complete, engine, event_workflow, goto, step, wait_for_event, workflow
from django_ai.automation.workflows.models import EventBurst, Signal, WorkflowRun
from django_ai.automation.workflows.runtime import waits, worker
from tests.app.models import Appointment, Order, Ticket
from tests.integration.workflows.racing import elsewhere


@pytest.fixture(autouse=True)
def forget_subscriptions():
    before = {item.key for item in subscriptions}
    yield
    for key in {item.key for item in subscriptions} - before:
        subscriptions.remove(key)


def statuses(name):
    return list(WorkflowRun.objects.filter(name__startswith=name).values_list("status", flat=True))


def declare_order_processing():
    @event_workflow("order_placed")
    class OrderProcessingWorkflow:
        class Context(BaseModel):
            order_id: int

        @classmethod
        def create_context(cls, event=None):
            order = event.entity
            return cls.Context(order_id=order.id)

        @step(start=True)
        def process_new_order(self):
            return complete()

    return OrderProcessingWorkflow


def test_a_saved_row_starts_the_workflow_that_listens(workflows):
    declare_order_processing()
    order = Order.objects.create()
    workflows.drain()
    run = WorkflowRun.objects.get()
    assert run.name == "order_placed:OrderProcessingWorkflow"
    assert (run.status, run.data) == ("completed", {"order_id": order.pk})
    assert Event.objects.get(pk=run.triggered_by_event_id).name == "order_placed"


def test_the_events_page_in_the_admin_shows_which_runs_it_started(workflows, admin_client):
    declare_order_processing()
    Order.objects.create()
    workflows.drain()
    run = WorkflowRun.objects.get()
    page = admin_client.get(reverse("admin:django_ai_events_event_change", args=[run.triggered_by_event_id]))
    assert f"order_placed:OrderProcessingWorkflow #{run.pk} (completed)" in page.content.decode()


def test_several_workflows_listen_to_one_event_and_one_may_decline(workflows):
    declare_order_processing()

    @event_workflow("order_placed")
    class Picky:
        @classmethod
        def should_run_for_event(cls, event):
            return event.entity.number == "7"

        @step(start=True)
        def begin(self):
            return complete()

    Order.objects.create(number="6")
    Order.objects.create(number="7")
    workflows.drain()
    assert len(statuses("order_placed:OrderProcessingWorkflow")) == 2
    assert len(statuses("order_placed:Picky")) == 1


def test_a_workflow_that_cannot_start_is_recorded_and_stops_no_other(workflows):
    @event_workflow("order_placed")
    class Broken:
        class Context(BaseModel):
            order_id: int

        @classmethod
        def create_context(cls, event=None):
            raise RuntimeError("no such warehouse")

        @step(start=True)
        def begin(self):
            return complete()

    declare_order_processing()
    Order.objects.create()
    workflows.drain()
    assert statuses("order_placed:OrderProcessingWorkflow") == ["completed"]
    assert statuses("order_placed:Broken") == []
    event = Event.objects.get(name="order_placed")
    assert event.failures
    assert "no such warehouse" in str(event.deliveries["workflow:order_placed:Broken"])


def declare_reminder():
    @event_workflow("appointment_due", offset_minutes=-60)
    class PreAppointmentReminder:
        @step(start=True)
        def send_reminder(self):
            return complete(display_title="Reminder Sent")


def test_a_negative_offset_fires_before_the_event_and_moves_with_its_date(workflows):
    declare_reminder()
    appointment = Appointment.objects.create(at=timezone.now() + timedelta(hours=3))
    workflows.advance(timedelta(minutes=119))
    assert statuses("appointment_due") == []
    appointment.at += timedelta(hours=1)
    appointment.save()
    workflows.advance(timedelta(minutes=60))
    assert statuses("appointment_due") == []
    workflows.advance(timedelta(minutes=1))
    assert statuses("appointment_due") == ["completed"]
    assert Event.objects.get().status == "pending"
    workflows.advance(timedelta(hours=2))
    assert statuses("appointment_due") == ["completed"]
    assert Event.objects.get().status == "occurred"


def test_a_cancelled_or_deleted_row_starts_nothing(workflows):
    declare_reminder()
    cancelled = Appointment.objects.create(at=timezone.now() + timedelta(hours=3))
    deleted = Appointment.objects.create(at=timezone.now() + timedelta(hours=3))
    cancelled.cancelled = True
    cancelled.save()
    deleted.delete()
    workflows.advance(timedelta(hours=4))
    assert statuses("appointment_due") == []


def test_the_database_refuses_a_second_run_for_one_occurrence(workflows):
    declare_order_processing()
    Order.objects.create()
    workflows.drain()
    run = WorkflowRun.objects.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        WorkflowRun.objects.create(name=run.name, triggered_by_event_id=run.triggered_by_event_id)


def declare_payment(correlate="{order_id}", **options):
    @workflow("payment")
    class Payment:
        class Context(BaseModel):
            order_id: str
            entity_id: str = ""
            event_name: str = ""
            event_id: int = 0
            amount: int = 0

        @step(start=True)
        def ask(self):
            return wait_for_event("payment_received", correlate=correlate, **options)

        @step()
        def book(self):
            return complete()


def test_an_event_wakes_the_runs_of_its_entity_and_merges_its_data(workflows):
    declare_payment()
    ticket, other = Ticket.objects.create(), Ticket.objects.create()
    run = engine.start("payment", order_id=str(ticket.pk))
    bystander = engine.start("payment", order_id=str(other.pk))
    workflows.drain()
    emit("payment_received", ticket, data={"amount": 12})
    workflows.drain()
    run.refresh_from_db()
    bystander.refresh_from_db()
    assert (run.status, bystander.status) == ("completed", "suspended")
    assert (run.data["amount"], run.data["entity_id"]) == (12, str(ticket.pk))
    assert run.data["event_name"] == "payment_received"


def test_an_event_that_occurs_while_the_step_runs_is_not_lost(workflows):
    @workflow("eager")
    class Eager:
        @step(start=True)
        def ask(self):
            emit("answer")
            event_scheduler.occur_due()
            return wait_for_event("answer")

        @step()
        def done(self):
            return complete()

    run = engine.start("eager")
    workflows.drain()
    run.refresh_from_db()
    assert run.status == "completed"


def test_a_wait_looks_back_as_far_as_it_says(workflows):
    declare_payment(since=timedelta(hours=2))
    emit("payment_received", correlate="1")
    workflows.drain()
    workflows.advance(timedelta(hours=1))
    early = engine.start("payment", order_id="1")
    workflows.advance(timedelta(hours=2))
    late = engine.start("payment", order_id="1")
    workflows.drain()
    early.refresh_from_db()
    late.refresh_from_db()
    assert (early.status, late.status) == ("completed", "suspended")


def declare_rounds():
    @workflow("loop")
    class Loop:
        class Context(BaseModel):
            rounds: int = 0

        @wait_for_event("round")
        @step(start=True)
        def play(self):
            self.context.rounds += 1
            return goto(self.play)


def test_an_event_consumed_once_does_not_answer_the_next_wait(workflows):
    declare_rounds()
    run = engine.start("loop")
    workflows.drain()
    for _ in range(2):
        workflows.advance(timedelta(minutes=5))
        emit("round")
        workflows.drain()
    run.refresh_from_db()
    assert (run.status, run.data["rounds"]) == ("suspended", 2)


def test_of_two_events_at_once_the_second_answers_the_next_wait(workflows):
    declare_rounds()
    run = engine.start("loop")
    workflows.drain()
    workflows.advance(timedelta(minutes=5))
    emit("round")
    emit("round")
    workflows.drain()
    run.refresh_from_db()
    assert (run.status, run.data["rounds"]) == ("suspended", 2)


def test_an_event_that_came_after_the_time_out_answers_a_later_wait_that_looks_back(workflows):
    @workflow("late")
    class Late:
        @step(start=True)
        def ask(self):
            return wait_for_event("answer", timeout=60, on_timeout=self.ask_again)

        @step()
        def ask_again(self):
            return wait_for_event("answer", since=timedelta(hours=1))

        @step()
        def done(self):
            return complete()

    run = engine.start("late")
    workflows.drain()
    Signal.objects.create(  # which the time-out will beat
        run=run,
        kind="event",
        name="answer",
        sequence=1,
        state="missed",
        created_at=timezone.now(),
        payload={"event_id": emit("answer").pk},
    )
    Event.objects.update(status="occurred", occurred_at=timezone.now(), next_due_at=None)
    workflows.advance(timedelta(seconds=61))
    run.refresh_from_db()
    assert run.status == "completed"


def test_the_event_that_started_a_run_does_not_answer_its_waits(workflows):
    @event_workflow("ticket_changed")
    class Watch:
        @step(start=True)
        def watch(self):
            return wait_for_event("ticket_changed", timeout=timedelta(hours=1), on_timeout=self.quiet)

        @step()
        def changed_again(self):
            return complete(display_title="changed")

        @step()
        def quiet(self):
            return complete(display_title="quiet")

    Ticket.objects.create(subject="a")
    workflows.drain()
    run = WorkflowRun.objects.get()
    assert run.status == "suspended"
    workflows.advance(timedelta(hours=2))
    run.refresh_from_db()
    assert run.completion_display["display_title"] == "quiet"


def test_an_event_reads_only_the_waits_with_its_key(workflows):
    declare_payment()
    for number in range(5):
        engine.start("payment", order_id=str(number))
    workflows.drain()
    now = timezone.now()
    event = Event(name="payment_received", correlation="3", at=now, occurred_at=now, data={}, pk=1)
    with CaptureQueriesContext(connection) as queries:
        waits.answer_waits([event])
    assert Signal.objects.get().run.data["order_id"] == "3"
    assert "'3'" in queries[0]["sql"]


def pass_time(monkeypatch, seconds):
    """Let so much time pass in this thread until it looks at the clock a second time; for others it stands still."""
    told = {threading.get_ident(): iter([0.0, seconds])}
    monkeypatch.setattr(waits, "monotonic", lambda: next(told.get(threading.get_ident(), iter([0.0]))))


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="needs two transactions at a time")
@pytest.mark.parametrize("longer", [False, True])
def test_a_wait_whose_transaction_took_longer_than_the_scheduler_looks_back_misses_nothing(longer, monkeypatch):
    @workflow("entry")
    class Entry:
        @wait_for_event("answer")
        @step(start=True)
        def answered(self):
            return complete()

    pass_time(monkeypatch, 100.0 if longer else 1.0)
    with transaction.atomic():
        run = engine.start("entry")
        elsewhere(lambda: (emit("answer"), event_scheduler.occur_due()))
    assert Signal.objects.filter(run=run).exists() is longer


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="needs two transactions at a time")
@pytest.mark.parametrize("longer", [False, True])
def test_nor_does_an_event_whose_transaction_took_so_long(longer, monkeypatch):
    declare_payment()
    run = engine.start("payment", order_id="1")
    emit("payment_received", correlate="1")
    pass_time(monkeypatch, 100.0 if longer else 1.0)
    with transaction.atomic():
        event_scheduler.occur_due()  # sees no wait
        elsewhere(lambda: worker.execute(run.pk, run.sequence, run.attempt))
    assert Signal.objects.filter(run=run).exists() is longer


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="needs two transactions at a time")
def test_an_event_and_a_wait_that_commit_together_find_each_other():
    declare_payment()
    run = engine.start("payment", order_id="1")
    emit("payment_received", correlate="1")
    occurred, suspended = threading.Event(), threading.Event()

    def occur():
        with transaction.atomic():
            event_scheduler.occur_due()  # sees no wait
            occurred.set()
            assert suspended.wait(60)  # which commits before the event does
        connections.close_all()

    thread = threading.Thread(target=occur)
    thread.start()
    assert occurred.wait(60)
    worker.execute(run.pk, run.sequence, run.attempt)
    suspended.set()
    thread.join()
    run.refresh_from_db()
    assert run.status == "suspended"
    assert waits.catch_up() == 1
    assert waits.catch_up() == 0
    worker.deliver(run.pk)
    run.refresh_from_db()
    assert run.status == "completed"


def declare_digest():
    @event_workflow("ticket_changed", debounce=timedelta(minutes=10), debounce_key=lambda event: event.entity_id)
    class Digest:
        class Context(BaseModel):
            changes: int = 0

        @classmethod
        def create_context(cls, events=None):
            return cls.Context(changes=len(events))

        @step(start=True)
        def send(self):
            return complete()


def test_a_burst_starts_one_run_with_all_its_events(workflows):
    declare_digest()
    ticket, other = Ticket.objects.create(subject="a"), Ticket.objects.create(subject="b")
    workflows.drain()
    workflows.advance(timedelta(minutes=6))
    ticket.priority = 1
    ticket.save()
    workflows.drain()
    workflows.advance(timedelta(minutes=6))
    assert [run.data for run in WorkflowRun.objects.all()] == [{"changes": 1}]
    workflows.advance(timedelta(minutes=6))
    assert sorted(run.data["changes"] for run in WorkflowRun.objects.all()) == [1, 2]
    assert not EventBurst.objects.exists()
    assert other.pk != ticket.pk


def test_a_burst_that_cannot_start_is_kept_with_the_reason_and_tried_again(workflows):
    @event_workflow("ticket_changed", debounce=timedelta(minutes=10))
    class Digest:
        @classmethod
        def create_context(cls, events=None):
            raise RuntimeError("no such mailbox")

        class Context(BaseModel):
            changes: int = 0

        @step(start=True)
        def send(self):
            return complete()

    Ticket.objects.create(subject="a")
    workflows.advance(timedelta(minutes=11))
    assert EventBurst.objects.get().error == "RuntimeError: no such mailbox"
    Digest.create_context = classmethod(lambda cls, events=None: cls.Context(changes=len(events)))
    workflows.advance(timedelta(minutes=1))
    assert WorkflowRun.objects.get().data == {"changes": 1}
    assert not EventBurst.objects.exists()


def test_bursts_of_a_workflow_that_is_gone_keep_no_others_waiting(workflows, settings):
    settings.DJANGO_AI = {"BATCH_SIZE": 2}
    declare_digest()
    past = timezone.now() - timedelta(hours=1)
    EventBurst.objects.bulk_create(
        [EventBurst(workflow="gone", key=str(number), event_ids=[], due_at=past) for number in range(2)]
    )
    Ticket.objects.create(subject="a")
    workflows.drain()
    workflows.advance(timedelta(minutes=11))
    assert WorkflowRun.objects.count() == 1
    assert {burst.error[:28] for burst in EventBurst.objects.all()} == {"No workflow 'gone' is regist"}


@pytest.mark.parametrize("count", [10, 100])
def test_due_events_start_runs_in_batches(workflows, count, django_assert_max_num_queries):
    declare_reminder()
    at = timezone.now() + timedelta(hours=2)
    for _ in range(count):
        Appointment.objects.create(at=at)
    workflows._traveller.shift(timedelta(hours=1, minutes=1))
    with django_assert_max_num_queries(25):
        event_scheduler.occur_due()
    assert WorkflowRun.objects.count() == count


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="one writer at a time there")
def test_two_schedulers_at_once_start_each_workflow_once():
    declare_reminder()
    Appointment.objects.bulk_create([Appointment(at=timezone.now() + timedelta(minutes=30)) for _ in range(500)])
    from django_ai.automation.events import reconciliation

    reconciliation.reconcile()
    barrier = threading.Barrier(4)

    def occur():
        barrier.wait()
        while event_scheduler.occur_due():
            pass
        connections.close_all()

    threads = [threading.Thread(target=occur) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert WorkflowRun.objects.count() == 500
    assert WorkflowRun.objects.values("triggered_by_event_id").distinct().count() == 500


# What an event fills without create_context


class Filled(BaseModel):
    event_id: int | None = None
    event_name: str = ""
    entity_id: str = ""
    event_at: datetime | None = None
    amount: int = 0
    note: str = Field("", alias="remark")


def declare_filled(context=Filled, **options):
    @event_workflow("paid_in", name="filled", **options)
    class FilledByEvents:
        Context = context

        @step(start=True)
        def only(self):
            return complete()


def filled():
    return Filled.model_validate(WorkflowRun.objects.get(name="filled").data)


def test_an_event_fills_the_declared_fields_of_the_run_that_it_starts(workflows):
    declare_filled()
    order = Order.objects.create()
    event = emit("paid_in", order, {"amount": 7, "note": "thanks", "undeclared": 1})
    workflows.drain()
    expected = Filled(event_id=event.pk, event_name="paid_in", entity_id=str(order.pk), amount=7, remark="thanks")
    assert filled() == expected.model_copy(update={"event_at": Event.objects.get(pk=event.pk).at})


def test_the_last_event_of_a_burst_fills_the_run_that_it_starts(workflows):
    declare_filled(debounce=timedelta(seconds=5), debounce_key=lambda event: "all")
    last = [emit("paid_in", None, {"amount": amount}) for amount in (1, 2)][-1]
    workflows.advance(timedelta(minutes=1))
    assert (filled().event_id, filled().amount) == (last.pk, 2)


def test_a_required_field_that_the_event_does_not_have_fails_that_start_alone(workflows):
    class Needy(Filled):
        invoice: str

    declare_filled(Needy)

    @event_workflow("paid_in", name="sound")
    class Sound:
        @step(start=True)
        def only(self):
            return complete()

    emit("paid_in")
    emit("paid_in", None, {"invoice": "a"})
    workflows.advance(timedelta(hours=1))
    assert (statuses("filled"), statuses("sound")) == (["completed"], ["completed", "completed"])
    [error] = [event.deliveries["workflow:filled"].get("error") for event in Event.objects.order_by("pk")][:1]
    assert "invoice" in error


def test_a_wait_takes_the_fields_of_its_event_with_the_moment(workflows):
    @workflow("listens")
    class Listens:
        Context = Filled

        @step(start=True)
        def asks(self):
            return wait_for_event("paid_in")

    run = engine.start("listens")
    workflows.drain()
    event = emit("paid_in", None, {"amount": 7})
    workflows.drain()
    run.refresh_from_db()
    context = Filled.model_validate(run.data)
    assert (context.event_id, context.event_at) == (event.pk, Event.objects.get(pk=event.pk).at)


def test_create_context_may_take_all_that_the_engine_has(workflows):
    @event_workflow("paid_in", name="open")
    class Open:
        Context = Filled

        @classmethod
        def create_context(cls, **given):
            return cls.Context(event_name=given["event"].name)

        @step(start=True)
        def only(self):
            return complete()

    emit("paid_in")
    workflows.drain()
    assert WorkflowRun.objects.get(name="open").data["event_name"] == "paid_in"


def test_a_debounce_key_that_no_column_holds_fails_its_event_alone(workflows):
    declare_filled(debounce=timedelta(seconds=5), debounce_key=lambda event: event.data["key"])
    emit("paid_in", None, {"key": "x" * 201})
    emit("paid_in", None, {"key": "x", "amount": 5})
    workflows.advance(timedelta(hours=1))
    assert filled().amount == 5
    assert "at most 200 characters" in Event.objects.earliest("pk").deliveries["workflow:filled"]["error"]
