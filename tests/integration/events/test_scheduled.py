"""Events at a date that a row holds: they follow the date, and the row."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from django.db.models import F
from django.test import override_settings
from django.utils import timezone

from django_ai.automation.events import EventDefinition
from django_ai.automation.events.models import Event
from tests.app.models import Appointment, Consultation, Invoice, Visit
from tests.integration.events.conftest import NOON, minutes, rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon")]


def test_an_event_occurs_at_its_date_and_not_before(noon, tick, heard):
    due = heard("appointment_due")
    Appointment.objects.create(at=NOON + minutes(30))
    noon.shift(minutes(29))
    tick()
    assert due.calls == []
    noon.shift(minutes(1))
    tick()
    tick()
    assert due.calls == [["appointment_due"]]
    assert rows() == [("appointment_due", "occurred", NOON + minutes(30))]


def test_a_handler_finds_what_the_event_is_about(noon, tick, heard):
    due = heard("appointment_due")
    appointment = Appointment.objects.create(at=NOON, title="Dentist")
    tick()
    (event,) = due.events
    assert event.entity == appointment
    assert event.entity.title == "Dentist"
    assert (event.name, event.event_name, event.entity_id) == (
        "appointment_due",
        "appointment_due",
        str(appointment.pk),
    )
    assert (event.at, event.data, event.correlation) == (NOON, {}, str(appointment.pk))


def test_a_date_that_moves_takes_the_event_along(noon, tick, heard):
    due = heard("appointment_due")
    appointment = Appointment.objects.create(at=NOON + minutes(30))
    appointment.at = NOON + minutes(60)
    appointment.save()
    noon.shift(minutes(30))
    tick()
    assert due.calls == []
    noon.shift(minutes(30))
    tick()
    assert due.names == ["appointment_due"]
    assert rows() == [("appointment_due", "occurred", NOON + minutes(60))]


def test_a_date_that_moves_into_the_past_lets_the_event_occur_at_once(tick, heard):
    due = heard("appointment_due")
    appointment = Appointment.objects.create(at=NOON + minutes(30))
    appointment.at = NOON - minutes(30)
    appointment.save()
    tick()
    assert due.names == ["appointment_due"]


def test_a_date_that_goes_cancels_the_event(noon, tick, heard):
    due = heard("appointment_due")
    appointment = Appointment.objects.create(at=NOON + minutes(30))
    appointment.at = None
    appointment.save()
    assert rows() == [("appointment_due", "cancelled", NOON + minutes(30))]
    noon.shift(minutes(30))
    tick()
    assert due.calls == []


def test_a_row_that_no_longer_matches_cancels_and_one_that_matches_again_revives(noon, tick, heard):
    due = heard("appointment_due")
    appointment = Appointment.objects.create(at=NOON + minutes(30))
    appointment.cancelled = True
    appointment.save()
    (event,) = Event.objects.all()
    assert (event.status, event.next_due_at) == ("cancelled", None)
    assert "no longer matches" in event.note
    appointment.cancelled = False
    appointment.save()
    noon.shift(minutes(30))
    tick()
    assert due.names == ["appointment_due"]
    assert rows() == [("appointment_due", "occurred", NOON + minutes(30))]


def test_a_deleted_row_cancels(noon, tick, heard):
    due = heard("appointment_due")
    Appointment.objects.create(at=NOON + minutes(30)).delete()
    noon.shift(minutes(30))
    tick()
    assert due.calls == []
    (event,) = Event.objects.all()
    assert (event.status, event.key) == ("cancelled", None)


def test_deleting_a_queryset_cancels_the_events_of_all_its_rows():
    for _ in range(3):
        Appointment.objects.create(at=NOON + minutes(30))
    Appointment.objects.all().delete()
    assert {event.status for event in Event.objects.all()} == {"cancelled"}


def test_a_row_that_was_deleted_and_made_again_has_an_event_again(tick, heard):
    due = heard("appointment_due")
    appointment = Appointment.objects.create(at=NOON)
    number = appointment.pk
    tick()
    appointment.delete()
    Appointment.objects.create(pk=number, at=NOON)
    tick()
    assert due.names == ["appointment_due", "appointment_due"]


def test_a_later_date_arms_an_event_again_that_has_occurred(noon, tick, heard):
    due = heard("appointment_due")
    appointment = Appointment.objects.create(at=NOON)
    tick()
    appointment.at = NOON + minutes(60)
    appointment.save()
    noon.shift(minutes(60))
    tick()
    assert due.names == ["appointment_due"] * 2
    assert rows() == [("appointment_due", "occurred", NOON), ("appointment_due", "occurred", NOON + minutes(60))]


def test_an_earlier_date_does_not(tick, heard):
    due = heard("appointment_due")
    appointment = Appointment.objects.create(at=NOON)
    tick()
    appointment.at = NOON - minutes(60)
    appointment.save()
    tick()
    assert due.names == ["appointment_due"]


def test_saving_a_row_again_after_its_event_occurred_changes_nothing(tick, heard):
    due = heard("appointment_due")
    appointment = Appointment.objects.create(at=NOON)
    tick()
    appointment.title = "Dentist"
    appointment.save()
    tick()
    assert due.names == ["appointment_due"]
    assert len(rows()) == 1


def test_a_new_row_with_a_date_long_past_has_its_event_at_once(tick, heard):
    due = heard("appointment_due")
    Appointment.objects.create(at=NOON - timedelta(days=400))
    tick()
    assert due.names == ["appointment_due"]


def test_an_old_row_with_a_date_long_past_is_history(tick, heard):
    due = heard("appointment_due")
    Appointment.objects.bulk_create([Appointment(at=NOON - timedelta(days=2))])
    appointment = Appointment.objects.get()
    appointment.save()
    tick()
    assert (due.calls, rows()) == ([], [])


def test_an_old_row_whose_date_has_just_passed_still_has_its_event(tick, heard):
    due = heard("appointment_due")
    appointment = Appointment.objects.create()
    appointment.at = NOON - minutes(1)
    appointment.save()
    tick()
    assert due.names == ["appointment_due"]


def test_an_event_that_waited_out_a_long_standstill_occurs_late_even_if_its_row_is_saved_meanwhile(noon, tick, heard):
    due = heard("appointment_due")
    appointment = Appointment.objects.create(at=NOON + minutes(1))
    noon.shift(timedelta(days=5))
    appointment.save()
    tick()
    assert due.names == ["appointment_due"]


def test_a_far_future_date_is_fine(tick):
    Appointment.objects.create(at=datetime(9998, 12, 31, tzinfo=UTC))
    tick()
    assert rows() == [("appointment_due", "pending", datetime(9998, 12, 31, tzinfo=UTC))]


def test_an_offset_that_no_calendar_reaches_never_comes(heard):
    heard("appointment_due", offset=timedelta(days=800))
    Appointment.objects.create(at=datetime(9998, 12, 31, tzinfo=UTC))
    assert Event.objects.get().next_due_at == datetime(9998, 12, 31, tzinfo=UTC)


def test_a_change_that_sent_no_signal_is_seen_when_the_event_is_due(noon, tick, heard):
    due = heard("appointment_due")
    moved, called_off, gone = (Appointment.objects.create(at=NOON + minutes(30)) for _ in range(3))
    Appointment.objects.filter(pk=moved.pk).update(at=NOON + minutes(90))
    Appointment.objects.filter(pk=called_off.pk).update(cancelled=True)
    Appointment.objects.filter(pk=gone.pk)._raw_delete("default")
    noon.shift(minutes(30))
    tick()
    assert due.calls == []
    assert [status for _, status, _ in rows()] == ["pending", "cancelled", "cancelled"]
    noon.shift(minutes(60))
    tick()
    assert [event.entity_id for event in due.events] == [str(moved.pk)]


@override_settings(TIME_ZONE="America/New_York")
def test_a_date_without_time_is_midnight_in_the_default_time_zone(noon, tick, heard):
    timezone.get_default_timezone.cache_clear()
    try:
        with timezone.override("Asia/Tokyo"):
            Invoice.objects.create(due_on=date(2030, 5, 7))
        midnight = datetime(2030, 5, 7, tzinfo=ZoneInfo("America/New_York"))
        assert Event.objects.get().at == midnight
        due = heard("invoice_due")
        noon.move_to(midnight)
        tick()
        assert due.names == ["invoice_due"]
    finally:
        timezone.get_default_timezone.cache_clear()


def test_a_date_of_today_is_due_today(tick, heard):
    due = heard("invoice_due")
    Invoice.objects.create(due_on=NOON.date())
    tick()
    assert due.names == ["invoice_due"]


@pytest.mark.filterwarnings("ignore:DateTimeField .* received a naive datetime:RuntimeWarning")
def test_a_naive_datetime_is_taken_in_the_default_time_zone_and_warned_of(tick, heard, caplog):
    due = heard("appointment_due")
    Appointment.objects.create(at=datetime(2030, 5, 6, 12))  # noqa: DTZ001
    assert "naive datetime" in caplog.text
    tick()
    assert [event.at for event in due.events] == [NOON]


def test_a_date_given_as_text_or_computed_by_the_database_is_understood(noon, tick, heard):
    due = heard("appointment_due")
    appointment = Appointment.objects.create(at="2030-05-06T12:30:00Z")
    appointment.at = F("at") + minutes(30)
    appointment.save()
    assert rows() == [("appointment_due", "pending", NOON + minutes(60))]
    noon.shift(minutes(60))
    tick()
    assert due.names == ["appointment_due"]


def test_what_a_partial_save_leaves_out_does_not_count():
    appointment = Appointment.objects.create(at=NOON + minutes(30))
    appointment.at, appointment.cancelled = NOON + minutes(90), True
    appointment.save(update_fields=["title"])
    assert rows() == [("appointment_due", "pending", NOON + minutes(30))]
    appointment.save(update_fields=["at"])
    assert rows() == [("appointment_due", "pending", NOON + minutes(90))]


def test_a_row_read_in_part_and_saved_keeps_its_event():
    Appointment.objects.create(at=NOON + minutes(30))
    appointment = Appointment.objects.only("title").get()
    appointment.title = "Dentist"
    appointment.save()
    assert rows() == [("appointment_due", "pending", NOON + minutes(30))]


def test_a_proxy_and_a_child_are_the_same_row_as_their_parent():
    visit = Visit.objects.create(at=NOON + minutes(30), place="Home")
    Appointment.objects.get(pk=visit.pk).save()
    proxy = Consultation.objects.get(pk=visit.pk)
    proxy.at = NOON + minutes(60)
    proxy.save()
    assert rows() == [("appointment_due", "pending", NOON + minutes(60))]
    assert Event.objects.of_entity(visit).count() == 1
    visit.delete()
    assert rows() == [("appointment_due", "cancelled", NOON + minutes(60))]


def test_data_is_that_of_the_moment_the_event_occurs(noon, tick, heard, monkeypatch):
    due = heard("appointment_due")
    told = EventDefinition("appointment_due", date_field="at", data=lambda item: {"title": item.title, "at": item.at})
    monkeypatch.setattr(Appointment, "events", [told])
    appointment = Appointment.objects.create(at=NOON, title="Dentist")
    Appointment.objects.filter(pk=appointment.pk).update(title="Barber")
    tick()
    assert due.events[0].data["title"] == "Barber"
    assert Event.objects.get().data == {"title": "Barber", "at": "2030-05-06T12:00:00Z"}


@pytest.mark.parametrize("correlate", ["title", lambda appointment: appointment.title])
def test_the_correlation_key_may_come_from_an_attribute_or_a_function(monkeypatch, correlate):
    definition = EventDefinition("appointment_due", date_field="at", correlate=correlate)
    monkeypatch.setattr(Appointment, "events", [definition])
    appointment = Appointment.objects.create(at=NOON, title="Dentist")
    appointment.title = "Barber"
    appointment.save()
    assert Event.objects.get().correlation == "Barber"


def test_a_rolled_back_save_leaves_no_event():
    with transaction.atomic():
        Appointment.objects.create(at=NOON)
        transaction.set_rollback(True)
    assert rows() == []
