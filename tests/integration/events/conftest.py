"""What the tests of events share: a silent broker, subscriptions of their own, a clock that moves."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from django_ai.automation import broker, clock
from django_ai.automation.events import scheduler
from django_ai.automation.events.models import Event
from django_ai.automation.events.subscriptions import subscribe, subscriptions

NOON = datetime(2030, 5, 6, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def messages(monkeypatch):
    """The messages that would have gone to the broker."""
    sent = []
    monkeypatch.setattr(broker, "publisher", lambda task, args, **options: sent.append((task, *args)))
    return sent


@pytest.fixture(autouse=True)
def own_subscriptions(monkeypatch):
    """No subscription of another test, and none of the workflows, is there."""
    monkeypatch.setattr(subscriptions, "_by_key", {})


@pytest.fixture
def noon():
    """A clock that stands at NOON and that the engine follows; `shift` and `move_to` move it."""
    with time_machine.travel(NOON, tick=False) as traveller, clock.use_process_clock():
        yield traveller


class Heard:
    """A handler that remembers the events of each of its calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, events):
        self.calls.append([event.name for event in events])
        self.events = [*getattr(self, "events", []), *events]

    @property
    def names(self):
        return [name for call in self.calls for name in call]


@pytest.fixture
def heard():
    """Subscribe a handler that only listens: `heard("name", offset=…)`."""

    def listen(event=None, key=None, **options):
        handler = Heard()
        subscribe(key or f"heard:{event}:{options}", handler, event=event, **options)
        return handler

    return listen


@pytest.fixture
def tick():
    """One pass of the scheduler."""
    return scheduler.occur_due


def minutes(number):
    return timedelta(minutes=number)


def rows(**fields):
    """The rows of events, as what matters of each."""
    found = Event.objects.filter(**fields).order_by("pk")
    return [(event.name, str(event.status), event.at) for event in found]
