"""Events that code emits."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from django_ai.automation.events import emit
from django_ai.automation.events.announcing import OCCUR
from django_ai.automation.events.models import Event
from django_ai.automation.events.signals import event_cancelled, event_occurred
from tests.app.models import Appointment, Note, Order
from tests.integration.events.conftest import NOON, minutes

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon")]


def test_an_emitted_event_occurs_with_its_data_and_correlation(tick, heard):
    received = heard("payment_received")
    note = Note.objects.create()
    emitted = emit("payment_received", note, {"amount": Decimal("9.90")}, correlate=42)
    tick()
    (event,) = received.events
    assert (event, event.entity, event.correlation) == (emitted, note, "42")
    assert event.data == {"amount": "9.90"}


def test_the_correlation_is_the_primary_key_unless_one_is_given():
    note = Note.objects.create()
    assert emit("noted", note).correlation == str(note.pk)
    assert emit("noted").correlation == ""


def test_an_emitted_event_is_announced_after_the_commit(messages, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        event = emit("noted")
        assert messages == []
    assert messages == [(OCCUR, [event.pk])]


def test_what_is_rolled_back_was_not_emitted(messages, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        with transaction.atomic():
            emit("noted")
            transaction.set_rollback(True)
        event = emit("kept")
    assert messages == [(OCCUR, [event.pk])]
    assert Event.objects.count() == 1


def test_a_large_transaction_is_announced_in_messages_of_a_batch_each(
    messages, django_capture_on_commit_callbacks, settings
):
    settings.DJANGO_AI = {"BATCH_SIZE": 2}
    with django_capture_on_commit_callbacks(execute=True):
        numbers = [emit("noted").pk for _ in range(5)]
    assert [sent for _, sent in messages] == [numbers[:2], numbers[2:4], numbers[4:]]


@pytest.mark.parametrize("name", ["", "x" * 201])
def test_a_name_must_fit(name):
    with pytest.raises(ValueError, match="1 to 200 characters"):
        emit(name)


def test_an_entity_must_be_saved():
    with pytest.raises(ValueError, match="Save the note"):
        emit("noted", Note())


@pytest.mark.parametrize("data", [{"what": object()}, ["a", "list"]])
def test_data_must_be_a_dict_that_fits_into_json(data):
    with pytest.raises(TypeError):
        emit("noted", data=data)


def test_django_signals_tell_after_the_commit_what_occurred_and_what_was_cancelled(
    noon, tick, django_capture_on_commit_callbacks
):
    told = []

    def listen(sender, event, name, **kwargs):
        told.append((sender, name, str(event.status)))

    event_occurred.connect(listen)
    event_cancelled.connect(listen)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            Order.objects.create()
            appointment = Appointment.objects.create(at=NOON + minutes(30))
        with django_capture_on_commit_callbacks(execute=True):
            tick()
            appointment.delete()
            assert told == []
        assert told == [(Event, "order_placed", "occurred"), (Event, "appointment_due", "cancelled")]
        with django_capture_on_commit_callbacks(execute=True):
            noon.shift(timedelta(days=1))
            tick()
        assert len(told) == 2
    finally:
        event_occurred.disconnect(listen)
        event_cancelled.disconnect(listen)


def test_occurred_events_can_be_looked_up_by_name_correlation_and_time(noon, tick):
    emit("noted", correlate="a")
    emit("noted", correlate="b")
    assert not Event.objects.occurred("noted").exists()
    tick()
    noon.shift(minutes(1))
    emit("noted", correlate="a")
    tick()
    found = Event.objects.occurred
    assert found("noted").count() == 3
    assert found("noted", correlation="a").count() == 2
    assert found("noted", correlation="a", since=NOON + minutes(1)).count() == 1
    assert found("other").count() == 0
