"""When something is due for an event."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from django_ai.automation.events import timing
from django_ai.automation.events.models import Event, EventStatus
from django_ai.automation.events.subscriptions import Subscription

NOON = datetime(2030, 5, 6, 12, tzinfo=UTC)
LONG_BEFORE = NOON - timedelta(days=100)


def subscription(hours, key=None):
    return Subscription(key or f"{hours}h", print, "name", timedelta(hours=hours))


def pending(**fields):
    return Event(name="name", at=NOON, armed_at=LONG_BEFORE, status=EventStatus.PENDING, **fields)


def keys(subscriptions):
    return [item.key for item in subscriptions]


def test_without_subscriptions_an_event_is_due_at_its_own_time():
    assert timing.next_due(pending(), []) == NOON
    assert not timing.due(pending(), [], NOON - timedelta(microseconds=1)).itself
    assert timing.due(pending(), [], NOON).itself


def test_the_earliest_call_comes_first_whatever_the_order_of_subscription():
    due = timing.due(pending(), [subscription(1), subscription(-1), subscription(0)], NOON + timedelta(hours=1))
    assert keys(due.calls) == ["-1h", "0h", "1h"]


def test_an_event_that_has_occurred_knows_only_the_calls_that_it_promised():
    event = pending(deliveries={"1h": {"state": "waiting"}, "0h": {"state": "done"}})
    event.status = EventStatus.OCCURRED
    known = [subscription(0), subscription(1), subscription(2)]
    assert timing.next_due(event, known) == NOON + timedelta(hours=1)
    assert keys(timing.due(event, known, NOON + timedelta(days=1)).calls) == ["1h"]


def test_a_failed_call_is_due_when_it_is_to_be_repeated_and_never_once_that_is_over():
    again = (NOON + timedelta(hours=5)).isoformat()
    event = pending(deliveries={"0h": {"state": "failed", "retry_at": again}, "1h": {"state": "failed"}})
    event.status = EventStatus.OCCURRED
    assert timing.next_due(event, [subscription(0), subscription(1)]) == NOON + timedelta(hours=5)


def test_nothing_is_due_for_a_cancelled_event():
    event = pending()
    event.status = EventStatus.CANCELLED
    assert timing.next_due(event, [subscription(-1), subscription(1)]) is None


hours = st.integers(-50, 50)


@given(st.lists(hours, unique=True), hours, st.booleans())
def test_every_call_comes_exactly_once_and_not_before_its_time(offsets, start, armed_late):
    """Let the scheduler come whenever something is due, and look what it is told to do."""
    known = [subscription(number) for number in offsets]
    event = pending()
    now = NOON + timedelta(hours=start)
    event.armed_at = now if armed_late else LONG_BEFORE
    called = []
    while (moment := timing.next_due(event, known)) is not None:
        now = max(now, moment)
        due = timing.due(event, known, now)
        assert due.itself or due.calls or due.too_late
        for item in due.calls:
            assert timing.moment_of(NOON, item.offset) <= now
            called.append(item.key)
        for item in [*due.calls, *due.too_late]:
            event.deliveries[item.key] = {"state": timing.DONE}
        if due.itself:
            event.status = EventStatus.OCCURRED
            for item in known:
                if timing.comes_after(NOON, item):
                    event.deliveries.setdefault(item.key, {"state": timing.WAITING})
    over = armed_late and start >= 0
    assert sorted(called) == sorted(f"{number}h" for number in offsets if not (over and number < 0))
    assert event.has_occurred
