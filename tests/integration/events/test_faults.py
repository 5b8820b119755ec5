"""Declarations that cannot be evaluated: the save succeeds, the event is marked, and heals."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from django_ai.automation.events import EventDefinition, by_hand
from django_ai.automation.events.models import Event
from django_ai.automation.events.reconciliation import reconcile
from django_ai.automation.events.subscriptions import subscribe
from tests.app.models import Appointment, Country, Note, Order, Ticket
from tests.integration.events.conftest import NOON, minutes

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon")]


@pytest.fixture
def declare(monkeypatch):
    def declare(model, *definitions):
        monkeypatch.setattr(model, "events", list(definitions))

    return declare


def states():
    return list(Event.objects.order_by("pk").values_list("status", "note"))


def fails(row):
    raise KeyError("no such thing")


@pytest.mark.parametrize("option", ["condition", "correlate"])
@pytest.mark.parametrize("date_field", ["at", None])
def test_a_function_that_raises_marks_the_event_and_lets_the_save_succeed(declare, caplog, option, date_field):
    declare(Appointment, EventDefinition("appointment_due", date_field=date_field, **{option: fails}))
    appointment = Appointment.objects.create(at=NOON)
    assert states() == [("failed", "KeyError: 'no such thing'")]
    assert "appointment_due" in caplog.text
    appointment.refresh_from_db()
    assert appointment.at == NOON


def test_saving_the_row_again_adds_no_second_fault(declare, django_assert_num_queries):
    declare(Appointment, EventDefinition("appointment_due", date_field="at", condition=fails))
    appointment = Appointment.objects.create(at=NOON)
    with transaction.atomic(), django_assert_num_queries(2):
        appointment.save()
    assert len(states()) == 1


def test_the_event_heals_when_the_declaration_does(declare, tick, heard):
    due = heard("appointment_due")
    healthy = Appointment.events
    declare(Appointment, EventDefinition("appointment_due", date_field="at", condition=fails))
    saved, left = (Appointment.objects.create(at=NOON + minutes(30)) for _ in range(2))
    declare(Appointment, *healthy)
    saved.save()
    assert [status for status, _ in states()] == ["pending", "failed"]
    assert reconcile() == 1
    assert [status for status, _ in states()] == ["pending", "pending"]
    assert due.calls == []
    assert {event.entity for event in Event.objects.all()} == {saved, left}


def test_a_row_whose_event_failed_and_that_no_longer_matches_is_cancelled(declare):
    declare(Appointment, EventDefinition("appointment_due", date_field="at", condition=fails))
    appointment = Appointment.objects.create(at=NOON)
    declare(Appointment, EventDefinition("appointment_due", date_field="at", condition=lambda row: False))
    appointment.save()
    assert [status for status, _ in states()] == ["cancelled"]


@pytest.mark.parametrize(
    ("date_field", "fault"),
    [("when", "has no field 'when'"), ("title", "testapp.Appointment.title is not a DateTimeField or DateField")],
)
def test_an_unknown_date_field_marks_the_event(declare, date_field, fault):
    declare(Appointment, EventDefinition("appointment_due", date_field=date_field))
    Appointment.objects.create(at=NOON)
    ((status, note),) = states()
    assert status == "failed"
    assert fault in note
    assert reconcile() == 0


def test_a_condition_that_raises_only_when_the_event_is_due_marks_it_then(declare, noon, tick, heard):
    due = heard("appointment_due")
    Appointment.objects.create(at=NOON + minutes(30))
    declare(Appointment, EventDefinition("appointment_due", date_field="at", condition=fails))
    noon.shift(minutes(30))
    tick()
    assert due.calls == []
    assert states() == [("failed", "KeyError: 'no such thing'")]


def test_a_condition_that_raises_after_the_event_records_the_calls_it_costs(declare, noon, tick, heard):
    after = heard("appointment_due", key="after", offset=minutes(30))
    Appointment.objects.create(at=NOON)
    tick()
    declare(Appointment, EventDefinition("appointment_due", date_field="at", condition=fails))
    noon.shift(minutes(30))
    tick()
    assert after.calls == []
    event = Event.objects.get()
    assert (event.status, event.failures) == ("occurred", 1)
    assert event.deliveries["after"]["error"] == "KeyError: 'no such thing'"


@pytest.mark.parametrize("data", [fails, lambda row: {"at": object()}, lambda row: [1]])
@pytest.mark.parametrize("date_field", ["at", None])
def test_data_that_cannot_be_had_marks_the_event(declare, tick, heard, data, date_field):
    due = heard("appointment_due")
    declare(Appointment, EventDefinition("appointment_due", date_field=date_field, data=data))
    Appointment.objects.create(at=NOON)
    tick()
    assert due.calls == []
    assert [status for status, _ in states()] == ["failed"]


def test_a_recurring_event_keeps_one_mark_of_its_faults(declare):
    declare(Ticket, EventDefinition("ticket_changed", on=["create", "update"], condition=fails))
    ticket = Ticket.objects.create()
    ticket.save()
    assert [status for status, _ in states()] == ["failed"]


def test_a_correlation_key_that_is_too_long_is_a_fault(declare):
    declare(Order, EventDefinition("order_placed", correlate=lambda order: "x" * 201))
    Order.objects.create()
    ((status, note),) = states()
    assert status == "failed"
    assert "at most 200 characters" in note


def test_a_primary_key_that_is_too_long_is_logged_and_the_save_succeeds(caplog):
    Country.objects.create(code="x" * 250)
    assert "at most 200 characters" in caplog.text
    assert states() == []


def test_a_query_of_a_condition_that_fails_is_not_swallowed(declare):
    def asks_nonsense(row):
        with connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere")

    declare(Order, EventDefinition("order_placed", condition=asks_nonsense))
    with pytest.raises(DatabaseError), transaction.atomic():
        Order.objects.create()


def test_a_person_has_a_failed_event_evaluated_anew(declare, tick, heard):
    due = heard("appointment_due")
    healthy = Appointment.events
    declare(Appointment, EventDefinition("appointment_due", date_field="at", condition=fails))
    Appointment.objects.create(at=NOON)
    by_hand.retry(Event.objects.all())
    assert [status for status, _ in states()] == ["failed"]
    declare(Appointment, *healthy)
    by_hand.retry(Event.objects.all())
    tick()
    assert due.names == ["appointment_due"]


def test_a_failed_event_that_no_longer_matches_is_cancelled_when_evaluated_anew(declare):
    declare(Appointment, EventDefinition("appointment_due", date_field="at", condition=fails))
    Appointment.objects.create(at=NOON)
    declare(Appointment, EventDefinition("appointment_due", date_field="at", condition=lambda row: False))
    by_hand.retry(Event.objects.all())
    assert [status for status, _ in states()] == ["cancelled"]


def test_a_failed_event_without_a_declaration_occurs_when_a_person_says_so(tick, heard):
    heard_of = heard("lost")
    Event.objects.create(name="lost", at=NOON, armed_at=NOON, status="failed", note="handlers fell ill")
    by_hand.retry(Event.objects.all())
    tick()
    assert heard_of.names == ["lost"]


def test_an_event_of_a_model_that_is_gone_occurs_without_an_entity(tick, heard):
    heard_of = heard("old")
    Event.objects.create(name="old", entity_type="shop.gone", entity_id="1", at=NOON, armed_at=NOON, next_due_at=NOON)
    tick()
    assert [event.entity for event in heard_of.events] == [None]


def test_an_entity_key_that_no_longer_fits_its_model_means_no_entity():
    event = Event(name="old", entity_type="testapp.ticket", entity_id="not a uuid", at=NOON)
    assert event.entity is None


def test_a_save_survives_a_message_that_cannot_be_sent(monkeypatch, django_capture_on_commit_callbacks, caplog):
    from django_ai.automation import broker

    def refuse(task, args, **options):
        raise ConnectionError("down")

    monkeypatch.setattr(broker, "publisher", refuse)
    with django_capture_on_commit_callbacks(execute=True):
        Order.objects.create()
    assert "down" in caplog.text
    assert Event.objects.get().next_due_at is not None


def test_models_without_events_are_left_alone(django_assert_num_queries):
    assert "save_base" not in vars(Note)
    with django_assert_num_queries(1):
        Note.objects.create()
    assert Event.objects.count() == 0


def test_the_tick_of_the_command_lets_due_events_occur(heard, capsys):
    placed = heard("order_placed")
    Order.objects.create()
    call_command("events", "tick")
    assert placed.names == ["order_placed"]
    assert "1 events" in capsys.readouterr().out


def test_an_overdue_event_stays_overdue_for_days(noon, tick, heard):
    placed = heard("order_placed")
    Order.objects.create()
    noon.shift(timedelta(days=30))
    tick()
    assert placed.names == ["order_placed"]


def test_a_row_in_another_database_has_its_event_recorded_after_its_commit(
    monkeypatch, django_capture_on_commit_callbacks
):
    from django_ai.automation.events import receivers

    monkeypatch.setattr(receivers, "database", lambda: "elsewhere")
    with django_capture_on_commit_callbacks(execute=True):
        Order.objects.create()
        assert states() == []
    assert [status for status, _ in states()] == ["pending"]


def test_a_batch_that_cannot_be_reconciled_is_left_to_the_next_pass(monkeypatch, caplog):
    from django.db import OperationalError

    from django_ai.automation.events import reconciliation

    Appointment.objects.bulk_create([Appointment(at=NOON + minutes(10))])
    with monkeypatch.context() as busy:

        def locked(statements):
            raise OperationalError("database is locked")

        busy.setattr(reconciliation.ledger, "bring_in_line", locked)
        assert reconcile() == 0
    assert "was not reconciled" in caplog.text
    assert reconcile() == 1


def test_a_subscription_that_was_deployed_is_told_to_events_that_wait_even_if_nothing_else_differs(heard):
    Appointment.objects.create(at=NOON + minutes(90))
    heard("appointment_due", offset=-timedelta(minutes=60))
    assert reconcile() == 1
    assert Event.objects.get().next_due_at == NOON + minutes(30)


def test_an_event_that_cannot_occur_for_now_is_tried_again(monkeypatch, tick, heard):
    from django.db import OperationalError

    from django_ai.automation.events import batch

    placed = heard("order_placed")
    Order.objects.create()
    with monkeypatch.context() as busy:

        def deadlock(event, now):
            raise OperationalError("deadlock detected")

        busy.setattr(batch, "examine", deadlock)
        tick()
    assert placed.calls == []
    tick()
    assert placed.names == ["order_placed"]


def test_announced_events_are_tried_alone_if_one_of_them_cannot_occur(monkeypatch, heard):
    from django_ai.automation.events import batch, scheduler

    placed = heard("order_placed")
    Order.objects.create(number="bad")
    Order.objects.create(number="good")
    examine = batch.examine

    def choosy(event, now):
        if event.entity.number == "bad":
            raise TypeError("cannot be")
        return examine(event, now)

    monkeypatch.setattr(batch, "examine", choosy)
    assert scheduler.occur(list(Event.objects.values_list("pk", flat=True))) == 2
    assert [event.entity.number for event in placed.events] == ["good"]
    assert Event.objects.get(status="failed").note == "TypeError: cannot be"


def test_a_handler_that_breaks_the_transaction_fails_alone_and_the_event_occurs_without_it(tick, noon, heard):
    placed = heard("order_placed")
    calls = []

    def breaking(events):
        calls.append(len(events))
        # After that it cannot be rolled back to its savepoint, as after a deadlock on MariaDB.
        connection.savepoint_commit(connection.savepoint_ids[-1])
        raise OSError("broken")

    subscribe("breaking", breaking, event="order_placed")
    Order.objects.create()
    tick()
    tick()
    event = Event.objects.get()
    assert (event.status, set(placed.names)) == ("occurred", {"order_placed"})
    assert "done" in [call["state"] for call in event.deliveries.values()]
    assert event.deliveries["breaking"]["error"] == "OSError: broken"
    for _ in range(5):
        noon.shift(timedelta(hours=1))
        tick()
    event.refresh_from_db()
    assert event.deliveries["breaking"]["attempts"] == 3
    assert len(calls) == 2 * 3, "each time with the batch, and then alone"


def test_a_row_that_the_database_cannot_judge_keeps_no_others_from_being_reconciled(monkeypatch, caplog, settings):
    from django.db import OperationalError

    from django_ai.automation.events import reconciliation

    settings.DJANGO_AI = {"BATCH_SIZE": 1}
    Appointment.objects.bulk_create([Appointment(at=NOON + minutes(10)), Appointment(at=NOON + minutes(20))])
    first = Appointment.objects.order_by("pk").first()
    statement_of = reconciliation.statement_of

    def failing(definition, row):
        if row == first:
            raise OperationalError("no such function")
        return statement_of(definition, row)

    monkeypatch.setattr(reconciliation, "statement_of", failing)
    assert reconcile() == 1
    assert "was not reconciled" in caplog.text
