"""Handlers that are called before and after an event."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.relativedelta import relativedelta
from django.test import override_settings
from django.utils import timezone

from django_ai.automation.events import on_event
from django_ai.automation.events.models import Event
from django_ai.automation.events.reconciliation import reconcile
from tests.app.models import Appointment, Order
from tests.integration.events.conftest import NOON, minutes, rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon")]

HOUR = timedelta(hours=1)


def test_a_negative_offset_comes_exactly_that_long_before_the_event(noon, tick, heard):
    reminder, due = heard("appointment_due", offset=-HOUR), heard("appointment_due")
    Appointment.objects.create(at=NOON + 2 * HOUR)
    noon.shift(HOUR - timedelta(microseconds=1))
    tick()
    assert reminder.calls == []
    noon.shift(timedelta(microseconds=1))
    tick()
    assert (reminder.names, due.names) == (["appointment_due"], [])
    assert Event.objects.get().status == "pending"
    noon.shift(HOUR)
    tick()
    assert (reminder.names, due.names) == (["appointment_due"], ["appointment_due"])


def test_a_row_that_comes_later_than_the_offset_is_called_for_at_once(tick, heard):
    reminder, due = heard("appointment_due", offset=-HOUR), heard("appointment_due")
    Appointment.objects.create(at=NOON + minutes(10))
    tick()
    assert (reminder.names, due.names) == (["appointment_due"], [])


def test_nothing_comes_before_an_event_that_was_over_when_its_row_came(tick, heard):
    reminder, due = heard("appointment_due", offset=-HOUR), heard("appointment_due")
    Appointment.objects.create(at=NOON - minutes(10))
    tick()
    assert (reminder.names, due.names) == ([], ["appointment_due"])
    assert Event.objects.get().next_due_at is None


def test_a_scheduler_that_stood_still_over_the_event_loses_no_call_and_keeps_their_order(noon, tick, heard):
    order = []
    for name, offset in [("after", HOUR), ("at", 0 * HOUR), ("before", -HOUR)]:
        on_event("appointment_due", offset=offset, key=name)(lambda event, name=name: order.append(name))
    Appointment.objects.create(at=NOON + 2 * HOUR)
    noon.shift(24 * HOUR)
    tick()
    assert order == ["before", "at", "after"]


def test_a_date_that_moves_before_anything_was_called_moves_the_offsets_along(noon, tick, heard):
    reminder = heard("appointment_due", offset=-HOUR)
    appointment = Appointment.objects.create(at=NOON + 2 * HOUR)
    appointment.at = NOON + 4 * HOUR
    appointment.save()
    noon.shift(HOUR)
    tick()
    assert reminder.calls == []
    noon.shift(2 * HOUR)
    tick()
    assert reminder.names == ["appointment_due"]
    assert len(rows()) == 1


def test_a_date_that_moves_after_the_reminder_is_reminded_of_again(noon, tick, heard):
    reminder, due = heard("appointment_due", offset=-HOUR), heard("appointment_due")
    appointment = Appointment.objects.create(at=NOON + HOUR)
    tick()
    appointment.at = NOON + 24 * HOUR
    appointment.save()
    assert rows() == [
        ("appointment_due", "cancelled", NOON + HOUR),
        ("appointment_due", "pending", NOON + 24 * HOUR),
    ]
    noon.shift(23 * HOUR)
    tick()
    noon.shift(HOUR)
    tick()
    assert (reminder.names, due.names) == (["appointment_due"] * 2, ["appointment_due"])


def test_an_appointment_that_is_called_off_and_on_again_is_reminded_of_once(noon, tick, heard):
    reminder, due = heard("appointment_due", offset=-HOUR), heard("appointment_due")
    appointment = Appointment.objects.create(at=NOON + HOUR)
    tick()
    for cancelled in (True, False):
        appointment.cancelled = cancelled
        appointment.save()
    noon.shift(HOUR)
    tick()
    assert (reminder.names, due.names) == (["appointment_due"], ["appointment_due"])


def test_what_comes_after_an_event_does_not_if_the_row_no_longer_matches(noon, tick, heard):
    after = heard("appointment_due", offset=HOUR)
    kept, called_off, moved = (Appointment.objects.create(at=NOON) for _ in range(3))
    tick()
    called_off.cancelled = True
    called_off.save()
    moved.at = NOON + 48 * HOUR
    moved.save()
    noon.shift(HOUR)
    tick()
    assert [event.entity for event in after.events] == [kept]


def test_a_condition_that_does_not_hold_at_the_reminder_leaves_the_event_its_chance(noon, tick, heard):
    reminder, due = heard("appointment_due", offset=-HOUR), heard("appointment_due")
    appointment = Appointment.objects.create(at=NOON + 2 * HOUR)
    Appointment.objects.filter(pk=appointment.pk).update(cancelled=True)
    noon.shift(HOUR)
    tick()
    Appointment.objects.filter(pk=appointment.pk).update(cancelled=False)
    noon.shift(HOUR)
    tick()
    assert (reminder.names, due.names) == ([], ["appointment_due"])


def test_a_subscription_that_is_deployed_later_holds_for_pending_events(noon, tick, heard):
    for shift in (2, 4):
        Appointment.objects.create(at=NOON + shift * HOUR)
    noon.shift(2 * HOUR)
    tick()
    reminder = heard("appointment_due", offset=-HOUR)
    noon.shift(HOUR)
    tick()
    assert reminder.calls == []  # nothing has told the events yet
    assert reconcile() == 1
    tick()
    assert [event.at for event in reminder.events] == [NOON + 4 * HOUR]


def test_a_subscription_that_is_gone_holds_nothing_up(noon, tick, heard, own_subscriptions):
    from django_ai.automation.events.subscriptions import subscriptions

    heard("appointment_due", key="old", offset=-HOUR)
    due = heard("appointment_due")
    Appointment.objects.create(at=NOON + 2 * HOUR)
    subscriptions.remove("old")
    noon.shift(2 * HOUR)
    tick()
    assert due.names == ["appointment_due"]
    assert Event.objects.get().next_due_at is None


@override_settings(TIME_ZONE="Europe/Berlin")
@pytest.mark.parametrize(
    ("offset", "local"),
    [(timedelta(days=-1), (29, 11)), (relativedelta(days=-1), (29, 12)), (relativedelta(months=-1), (28, 12))],
)
def test_a_timedelta_is_exact_and_other_offsets_follow_the_local_clock(offset, local, heard):
    """On 30 March 2031 Berlin's clocks jump from 2 to 3."""
    timezone.get_default_timezone.cache_clear()
    try:
        heard("appointment_due", offset=offset)
        berlin = ZoneInfo("Europe/Berlin")
        with timezone.override("UTC"):
            Appointment.objects.create(at=datetime(2031, 3, 30, 12, tzinfo=berlin).astimezone(UTC))
        due = Event.objects.get().next_due_at.astimezone(berlin)
        assert (due.day, due.hour) == local
    finally:
        timezone.get_default_timezone.cache_clear()


def test_minutes_are_a_short_way_to_say_an_offset(noon, tick):
    called = []
    on_event("appointment_due", offset_minutes=-60)(called.append)
    Appointment.objects.create(at=NOON + 2 * HOUR)
    noon.shift(HOUR)
    tick()
    assert [event.name for event in called] == ["appointment_due"]


def test_nothing_can_come_before_an_event_without_a_date(tick, heard):
    before = heard("order_placed", offset=-HOUR)
    Order.objects.create()
    tick()
    assert before.calls == []
    assert set(Event.objects.values_list("status", "next_due_at")) == {("occurred", None)}
