"""What subscribers are told, in which transaction, and what becomes of those that raise."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import override_settings

from django_ai.automation.events import by_hand, emit, on_event, subscribe
from django_ai.automation.events.models import Event
from django_ai.automation.events.subscriptions import DuplicateSubscription, subscriptions
from tests.app.models import Appointment, Note, Order
from tests.integration.events.conftest import NOON, minutes

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon")]

SECOND = timedelta(seconds=1)


def test_many_events_are_told_in_one_call(tick, heard):
    placed = heard("order_placed")
    for _ in range(5):
        Order.objects.create()
    tick()
    assert placed.calls == [["order_placed"] * 5]


def test_a_subscriber_may_listen_to_every_event(tick, heard):
    everything = heard()
    Order.objects.create(status="paid")
    emit("weather_changed")
    tick()
    assert everything.names == ["order_placed", "order_paid", "weather_changed"]


def test_a_decorated_function_is_called_with_one_event_at_a_time(tick):
    called = []

    @on_event("order_placed")
    def remember(event):
        called.append(event.name)

    Order.objects.create()
    Order.objects.create()
    tick()
    assert called == ["order_placed"] * 2


def test_a_handler_may_be_declared_as_the_original_has_it(tick):
    from django_ai.automation.events.callbacks import on_event as on_event_of_old

    called = []
    on_event_of_old(event_name="order_placed")(called.append)
    on_event_of_old(event_name="*", key="all")(called.append)
    Order.objects.create()
    emit("weather_changed")
    tick()
    assert sorted(event.name for event in called) == ["order_placed", "order_placed", "weather_changed"]


def test_the_name_of_the_event_makes_the_same_key_whichever_way_it_is_given():
    def remember(event):
        pass

    on_event("order_placed")(remember)
    on_event(event_name="order_placed")(remember)
    assert len(list(subscriptions)) == 1


def test_one_function_may_listen_to_several_events_at_several_times(tick):
    @on_event("order_placed")
    @on_event("order_paid")
    @on_event("order_paid", offset=timedelta(hours=1))
    def remember(event):
        pass

    assert len(list(subscriptions)) == 3


def test_two_handlers_of_one_key_are_refused_and_one_that_is_loaded_again_is_not():
    def first(events):
        pass

    def second(events):
        pass

    subscribe("mine", first)
    subscribe("mine", first)
    with pytest.raises(DuplicateSubscription, match=r"first.*second"):
        subscribe("mine", second)


class Mute(Exception):
    def __str__(self):
        raise AttributeError("no answer")


def test_a_handler_whose_exception_has_no_text_fails_with_its_class_and_the_others_are_called(tick, heard):
    @on_event("order_placed")
    def fail(event):
        raise Mute

    placed = heard("order_placed")
    Order.objects.create()
    tick()
    assert placed.names == ["order_placed"]
    (event,) = Event.objects.failed()
    (failure,) = [item for item in event.deliveries.values() if item["state"] == "failed"]
    assert failure["error"] == "Mute: (its text cannot be made: AttributeError)"


def test_what_a_failing_handler_wrote_is_undone_and_the_others_are_called(tick, heard):
    @on_event("order_placed")
    def write_and_fail(event):
        Note.objects.create(text="half done")
        raise RuntimeError("no room")

    placed = heard("order_placed")
    Order.objects.create()
    tick()
    assert placed.names == ["order_placed"]
    assert not Note.objects.exists()
    (event,) = Event.objects.failed()
    (failure,) = [item for item in event.deliveries.values() if item["state"] == "failed"]
    assert (event.status, event.failures, failure["error"]) == ("occurred", 1, "RuntimeError: no room")


def test_one_bad_event_does_not_keep_the_others_of_its_batch_from_a_handler(tick):
    handled = []

    def choosy(events):
        if any(event.entity.number == "bad" for event in events):
            raise ValueError("bad number")
        handled.extend(event.entity.number for event in events)

    subscribe("choosy", choosy, event="order_placed")
    for number in ("1", "bad", "2"):
        Order.objects.create(number=number)
    tick()
    assert handled == ["1", "2"]
    assert [event.entity.number for event in Event.objects.failed()] == ["bad"]


@override_settings(DJANGO_AI={"EVENT_ATTEMPTS": 3, "EVENT_RETRY_SECONDS": 10})
def test_a_failed_call_is_repeated_with_growing_pauses_and_then_left_to_a_person(noon, tick):
    calls = []

    @on_event("order_placed")
    def fail(event):
        calls.append(event.pk)
        raise RuntimeError(f"attempt {len(calls)}")

    Order.objects.create()
    for seconds, so_far in [(0, 1), (9, 1), (1, 2), (19, 2), (1, 3), (3600, 3)]:
        noon.shift(seconds * SECOND)
        tick()
        assert len(calls) == so_far
    event = Event.objects.get(name="order_placed")
    assert (event.next_due_at, event.failures) == (None, 1)
    assert "attempt 3" in str(event.deliveries)


@override_settings(DJANGO_AI={"EVENT_RETRY_SECONDS": 10})
def test_a_repeated_call_that_succeeds_leaves_no_failure(noon, tick):
    errors = [RuntimeError("once")]

    @on_event("order_placed")
    def fail_once(event):
        if errors:
            raise errors.pop()

    Order.objects.create()
    tick()
    noon.shift(10 * SECOND)
    tick()
    event = Event.objects.get(name="order_placed")
    assert (event.failures, event.next_due_at) == (0, None)


@override_settings(DJANGO_AI={"EVENT_ATTEMPTS": 1})
def test_a_person_has_failures_repeated(tick):
    broken = [True]

    @on_event("order_placed")
    def fail(event):
        if broken:
            raise RuntimeError("not now")
        Note.objects.create(text=event.entity_id)

    Order.objects.create()
    tick()
    tick()
    broken.clear()
    assert by_hand.retry(Event.objects.all()) == 1
    tick()
    assert Note.objects.count() == 1
    assert not Event.objects.failed().exists()


def test_a_failed_call_is_repeated_even_if_the_event_has_moved_on(noon, tick):
    """As with a date that its own handler sets to the next turn."""
    errors = [RuntimeError("once")]
    repeated = []

    @on_event("appointment_due", key="a: advance")
    def advance(event):
        appointment = event.entity
        appointment.at += timedelta(days=1)
        appointment.save()

    @on_event("appointment_due", key="b: fail once")
    def fail_once(event):
        if errors:
            raise errors.pop()
        repeated.append(event.at)

    Appointment.objects.create(at=NOON)
    tick()
    assert list(Event.objects.order_by("pk").values_list("at", "status")) == [
        (NOON, "occurred"),
        (NOON + timedelta(days=1), "pending"),
    ]
    noon.shift(timedelta(minutes=1))
    tick()
    assert repeated == [NOON]


def test_a_handler_that_breaks_the_transaction_harms_only_its_own_event(tick, heard):
    if connection.vendor != "postgresql":
        pytest.skip("only there an error spoils a whole transaction")

    @on_event("order_placed")
    def ask_nonsense(event):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1/0")

    placed = heard("order_placed")
    Order.objects.create()
    tick()
    assert placed.names == ["order_placed"]
    assert Event.objects.failed().count() == 1


def test_an_event_that_cannot_be_examined_is_marked_and_the_rest_of_its_batch_occurs(tick, heard, monkeypatch):
    from django_ai.automation.events import batch

    due = heard("appointment_due")
    bad, good = (Appointment.objects.create(at=NOON) for _ in range(2))
    examine = batch.examine

    def examine_all_but_one(event, now):
        if event.entity == bad:
            raise TypeError("cannot be")
        return examine(event, now)

    monkeypatch.setattr(batch, "examine", examine_all_but_one)
    tick()
    assert [event.entity for event in due.events] == [good]
    failed = Event.objects.get(status="failed")
    assert (failed.entity_id, failed.note, failed.next_due_at) == (str(bad.pk), "TypeError: cannot be", None)


def test_a_handler_may_emit_further_events(tick, heard):
    second = heard("second")
    on_event("first")(lambda event: emit("second", data={"from": event.pk}))
    emit("first")
    tick()
    tick()
    assert second.names == ["second"]


def test_a_cancelled_event_calls_nobody_and_stays_cancelled(noon, tick, heard):
    due = heard("appointment_due")
    appointment = Appointment.objects.create(at=NOON + minutes(30))
    assert by_hand.cancel(Event.objects.all()) == 1
    appointment.save()
    noon.shift(minutes(30))
    tick()
    assert due.calls == []
    appointment.at = NOON + minutes(60)
    appointment.save()
    noon.shift(minutes(30))
    tick()
    assert due.names == ["appointment_due"]


class FailsIn2030:
    """An offset of a project's own, which fails for some dates."""

    def __radd__(self, at):
        if at.year == 2030:
            raise ValueError("no such day")
        return at


def test_a_subscriber_whose_offset_fails_for_a_date_keeps_the_event_from_no_other(tick, heard, caplog):
    failing, sound = heard("order_placed", offset=FailsIn2030()), heard("order_placed")
    Order.objects.create()
    tick()
    assert (failing.names, sound.names) == ([], ["order_placed"])
    assert "FailsIn2030" in caplog.text
