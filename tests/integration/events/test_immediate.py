"""Events that occur when a transaction commits."""

import uuid

import pytest

from django_ai.automation.events import EventDefinition
from django_ai.automation.events.announcing import OCCUR
from django_ai.automation.events.models import Event
from tests.app.models import Country, Order, Ticket

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon")]


def names():
    return list(Event.objects.order_by("pk").values_list("name", flat=True))


def test_without_a_condition_an_event_occurs_when_a_row_is_created(tick, heard):
    placed = heard("order_placed")
    order = Order.objects.create()
    order.save()
    tick()
    assert [event.entity for event in placed.events] == [order]


def test_with_a_condition_it_occurs_the_first_time_the_condition_holds(tick, heard):
    paid = heard("order_paid")
    order = Order.objects.create()
    tick()
    assert paid.calls == []
    for status in ("paid", "sent", "paid"):
        order.status = status
        order.save()
        tick()
    assert [event.entity for event in paid.events] == [order]


def test_what_held_when_it_was_saved_has_happened_even_if_it_holds_no_more(tick, heard):
    paid = heard("order_paid")
    order = Order.objects.create(status="paid")
    order.status = "refunded"
    order.save()
    tick()
    assert paid.names == ["order_paid"]


def test_the_workers_are_told_after_the_commit_and_once_for_all_of_a_transaction(
    messages, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        Order.objects.create()
        Order.objects.create(status="paid")
        assert messages == []
    assert messages == [(OCCUR, list(Event.objects.order_by("pk").values_list("pk", flat=True)))]


def test_a_watched_field_that_changes_is_an_occurrence_of_its_own(tick, heard):
    changed = heard("ticket_changed")
    ticket = Ticket.objects.create(subject="a")
    ticket.subject = "b"
    ticket.save()
    ticket.save()
    ticket.priority = "0"  # as a form gives it: what the database holds already
    ticket.save()
    ticket.subject = "a"
    ticket.save()
    tick()
    assert changed.names == ["ticket_changed"] * 3
    assert {event.entity_id for event in changed.events} == {str(ticket.pk)}


def test_a_change_that_is_not_written_is_none(heard):
    ticket = Ticket.objects.create(subject="a")
    ticket.subject = "b"
    ticket.save(update_fields=["priority"])
    assert names() == ["ticket_changed"]
    ticket.save(update_fields=["subject"])
    assert names() == ["ticket_changed"] * 2


def test_a_value_that_the_database_computes_is_compared_with_what_it_was():
    from django.db.models import F

    ticket = Ticket.objects.create(priority=1)
    ticket.priority = F("priority") * 1
    ticket.save()
    assert names() == ["ticket_changed"]
    ticket.priority = F("priority") + 1
    ticket.save()
    assert names() == ["ticket_changed"] * 2


def test_a_row_that_replaces_another_counts_as_changed():
    ticket = Ticket.objects.create(subject="a")
    Ticket(pk=ticket.pk, subject="a").save(force_update=True)
    assert names() == ["ticket_changed"] * 2


def test_watching_updates_alone_leaves_new_rows_out(monkeypatch):
    monkeypatch.setattr(Ticket, "events", [EventDefinition("renamed", watch="subject", on="update")])
    ticket = Ticket.objects.create(subject="a")
    assert names() == []
    ticket.subject = "b"
    ticket.save()
    assert names() == ["renamed"]


def test_a_watched_change_counts_only_while_the_condition_holds(monkeypatch):
    urgent = EventDefinition("urgent", condition=lambda ticket: ticket.priority > 5, watch=["priority"])
    monkeypatch.setattr(Ticket, "events", [urgent])
    ticket = Ticket.objects.create(priority=1)
    for priority in (6, 6, 7, 2, 6):
        ticket.priority = priority
        ticket.save()
    assert names() == ["urgent"] * 3


def test_an_event_may_occur_at_every_save_and_at_a_delete(tick, heard):
    saved = heard("country_saved")
    country = Country.objects.create(code="nl")
    country.save()
    tick()
    country.delete()
    tick()
    assert [event.entity_id for event in saved.events] == ["nl"] * 3
    assert saved.events[-1].entity is None


def test_a_deleted_row_takes_along_what_has_not_occurred_yet(tick, heard):
    placed = heard("order_placed")
    Order.objects.create().delete()
    tick()
    assert placed.calls == []


def test_a_row_that_vanished_without_a_signal_leaves_the_event_without_an_entity(tick, heard):
    placed = heard("order_placed")
    Order.objects.create()
    Order.objects.all()._raw_delete("default")
    tick()
    assert [event.entity for event in placed.events] == [None]


def test_keys_of_any_kind_are_kept_as_text(tick, heard):
    changed = heard("ticket_changed")
    key = uuid.UUID("12345678-1234-5678-1234-567812345678")
    ticket = Ticket.objects.create(pk=key)
    tick()
    (event,) = changed.events
    assert (event.entity_id, event.correlation) == (str(key), str(key))
    assert Event.objects.get().entity == ticket


def test_data_is_that_of_the_save(monkeypatch, tick, heard):
    told = EventDefinition("order_placed", data=lambda order: {"number": order.number})
    monkeypatch.setattr(Order, "events", [told])
    placed = heard("order_placed")
    order = Order.objects.create(number="7")
    order.number = "8"
    order.save()
    tick()
    assert [event.data for event in placed.events] == [{"number": "7"}]


def test_an_offset_after_an_immediate_event_comes_later(noon, tick, heard):
    from datetime import timedelta

    later = heard("order_placed", offset=timedelta(hours=1))
    Order.objects.create()
    tick()
    assert later.calls == []
    noon.shift(timedelta(hours=1))
    tick()
    assert later.names == ["order_placed"]


def test_rows_of_a_fixture_have_no_immediate_events():
    from django.core import serializers

    row = serializers.serialize("json", [Order(pk=1, status="paid")])
    for item in serializers.deserialize("json", row):
        item.save()
    assert names() == []
