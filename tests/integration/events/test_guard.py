"""Events whose handlers kill the process: they end up marked, and all others occur."""

import pytest
from django.test import override_settings

from django_ai.automation.events import by_hand, emit, scheduler, subscribe
from django_ai.automation.events.models import Event, OpenBatch
from tests.app.models import Note

# Rows are locked by transactions that really end.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("noon")]


class Killed(BaseException):
    """What ends a process, as nothing that is caught on the way."""


@pytest.fixture
def deadly():
    """A handler that dies of events with a deadly key, and writes a note for others."""
    deaths = []

    def handle(events):
        for event in events:
            if event.correlation == "deadly":
                deaths.append(event.pk)
                raise Killed
            Note.objects.create(text=event.correlation)

    subscribe("handle", handle)
    return deaths


def process():
    """One process's life: it lets events occur until it is done or dies."""
    try:
        scheduler.occur_due()
    except Killed:
        return False
    return True


def test_a_deadly_event_is_given_up_after_its_attempts_and_holds_nothing_up(noon, deadly):
    emit("ping", correlate="before")
    emit("ping", correlate="deadly")
    emit("ping", correlate="after")
    lives = []
    while len(lives) < 10 and not all(lives[-2:] or [False]):
        lives.append(process())
        noon.shift(60)
    assert sorted(Note.objects.values_list("text", flat=True)) == ["after", "before"]
    failed = Event.objects.get(status="failed")
    assert failed.correlation == "deadly"
    assert failed.note == "The process died 3 times while handlers were called."
    assert len(deadly) == 3
    assert not OpenBatch.objects.exists()


def test_events_that_come_meanwhile_are_not_held_up(noon, deadly):
    emit("ping", correlate="deadly")
    assert not process()
    emit("ping", correlate="later")
    process()  # the first is still somebody's, as far as anybody knows
    assert Note.objects.get().text == "later"


def test_a_batch_that_failed_leaves_nothing_open(deadly):
    def fail(events):
        raise RuntimeError

    subscribe("fail", fail)
    emit("ping")
    assert process()
    assert not OpenBatch.objects.exists()


@pytest.mark.usefixtures("deadly")
def test_a_batch_that_somebody_is_at_is_not_taken_for_abandoned(noon):
    event = emit("ping")
    opened = OpenBatch.objects.create(events=[event.pk], started_at=Event.objects.get().at)
    process()  # the process has had no time to lock its batch
    assert not Note.objects.exists()
    noon.shift(60)
    process()
    assert Note.objects.exists()
    assert not OpenBatch.objects.filter(pk=opened.pk).exists()


@override_settings(DJANGO_AI={"EVENT_ATTEMPTS": 1})
def test_a_person_may_let_a_deadly_event_try_again(noon, deadly):
    emit("ping", correlate="deadly")
    process()
    noon.shift(60)
    process()
    assert Event.objects.get().status == "failed"
    Event.objects.update(correlation="cured")
    by_hand.retry(Event.objects.all())
    process()
    assert Note.objects.get().text == "cured"
