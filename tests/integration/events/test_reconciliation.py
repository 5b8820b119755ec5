"""Rows that were written without signals, and events whose declarations changed."""

from datetime import date, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from django_ai.automation.events import EventDefinition
from django_ai.automation.events.models import Event
from django_ai.automation.events.reconciliation import adopt, reconcile
from tests.app.models import Appointment, Invoice, Order
from tests.integration.events.conftest import NOON, minutes, rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon")]


def test_rows_that_were_created_in_bulk_get_their_events(noon, tick, heard):
    due = heard("appointment_due")
    Appointment.objects.bulk_create(Appointment(at=NOON + minutes(number)) for number in (-10, 10, 20))
    assert rows() == []
    assert reconcile() == 3
    noon.shift(minutes(20))
    tick()
    assert due.names == ["appointment_due"] * 3


def test_dates_that_are_history_stay_without_events():
    Appointment.objects.bulk_create([Appointment(at=NOON - timedelta(days=2)), Appointment(at=None)])
    assert reconcile() == 0
    assert rows() == []


def test_what_agrees_is_only_read():
    Appointment.objects.create(at=NOON + minutes(10))
    before = Event.objects.values().get()
    assert reconcile() == 0
    assert Event.objects.values().get() == before


def test_updated_moved_and_vanished_rows_are_brought_in_line():
    moved, called_off, undated, gone = (Appointment.objects.create(at=NOON + minutes(10)) for _ in range(4))
    Appointment.objects.filter(pk=moved.pk).update(at=NOON + minutes(30))
    Appointment.objects.filter(pk=called_off.pk).update(cancelled=True)
    Appointment.objects.filter(pk=undated.pk).update(at=None)
    Appointment.objects.filter(pk=gone.pk)._raw_delete("default")
    assert reconcile() == 4
    assert rows() == [
        ("appointment_due", "pending", NOON + minutes(30)),
        *[("appointment_due", "cancelled", NOON + minutes(10))] * 3,
    ]
    assert reconcile() == 0


def test_a_later_date_arms_again_what_has_occurred(tick):
    appointment = Appointment.objects.create(at=NOON)
    tick()
    Appointment.objects.filter(pk=appointment.pk).update(at=NOON + minutes(30))
    assert reconcile() == 1
    assert [status for _, status, _ in rows()] == ["occurred", "pending"]


def test_two_events_of_one_row_are_both_brought_in_line(monkeypatch):
    later = EventDefinition("appointment_checked", date_field="at")
    monkeypatch.setattr(Appointment, "events", [*Appointment.events, later])
    appointment = Appointment.objects.create(at=NOON + minutes(10))
    Appointment.objects.filter(pk=appointment.pk).update(at=NOON + minutes(20))
    assert reconcile() == 2
    assert {at for _, _, at in rows()} == {NOON + minutes(20)}


def test_a_field_of_dates_is_looked_through_from_the_day_on_that_is_no_history():
    Invoice.objects.bulk_create(Invoice(due_on=NOON.date() + timedelta(days=number)) for number in (-3, -2, 0, 3))
    reconcile()
    assert [at.date() for _, _, at in rows()] == [NOON.date(), date(2030, 5, 9)]


def test_an_event_that_is_declared_no_more_is_cancelled_unless_it_is_due_already(noon, monkeypatch):
    for number in (5, 20):
        Appointment.objects.create(at=NOON + minutes(number))
    monkeypatch.setattr(Appointment, "events", [])
    noon.shift(minutes(10))
    assert reconcile() == 1
    assert [status for _, status, _ in rows()] == ["pending", "cancelled"]
    assert "declares appointment_due no more" in Event.objects.last().note


def test_an_event_of_another_deployment_revives_when_that_reconciles(monkeypatch):
    Appointment.objects.create(at=NOON + minutes(20))
    with monkeypatch.context() as older:
        older.setattr(Appointment, "events", [])
        reconcile()
    assert reconcile() == 1
    assert [status for _, status, _ in rows()] == ["pending"]


def test_immediate_events_are_none_of_its_business():
    Order.objects.create(status="paid")
    Order.objects.bulk_create([Order(status="paid")])
    assert reconcile() == 0
    assert len(rows()) == 2


def test_the_queries_of_a_pass_grow_by_batches(django_assert_num_queries, settings):
    settings.DJANGO_AI = {"BATCH_SIZE": 10}
    Appointment.objects.bulk_create(Appointment(at=NOON + minutes(10)) for _ in range(40))
    reconcile()
    Order.objects.all().delete()
    # Rows with a date: five pages and the events of four; the events: five pages and the rows of four;
    # one look at the invoices.
    with django_assert_num_queries(5 + 4 + 5 + 2 * 4 + 1):
        assert reconcile() == 0


def test_the_command_says_how_far_it_is():
    Appointment.objects.bulk_create(Appointment(at=NOON + minutes(10)) for _ in range(3))
    out = StringIO()
    call_command("events", "reconcile", stdout=out)
    assert "testapp.Appointment appointment_due: 3 looked at" in out.getvalue()
    assert "3 events corrected." in out.getvalue()


def test_old_rows_that_are_adopted_do_not_bring_about_an_event_that_is_new(tick, heard):
    paid = heard("order_paid")
    Order.objects.bulk_create([Order(status="paid"), Order(status="new")])
    out = StringIO()
    call_command("events", "adopt", "order_paid", stdout=out)
    assert "1 rows taken for known." in out.getvalue()
    assert adopt("order_paid") == 0
    for order in Order.objects.all():
        order.save()
    tick()
    assert paid.calls == []
    new = Order.objects.get(status="new")
    new.status = "paid"
    new.save()
    tick()
    assert [event.entity for event in paid.events] == [new]


@pytest.mark.parametrize("name", ["order_placed", "appointment_due", "unheard_of"])
def test_only_immediate_events_with_a_condition_can_be_adopted(name):
    with pytest.raises(CommandError, match=f"No model declares an immediate event '{name}' with a condition"):
        call_command("events", "adopt", name)
