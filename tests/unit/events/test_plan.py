"""The table of what becomes of an event's row when the entity says something new."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from django_ai.automation.events.definitions import Kind
from django_ai.automation.events.models import Event, EventStatus
from django_ai.automation.events.plan import Action, decide
from django_ai.automation.events.verdicts import Faulty, Wanted

NOON = datetime(2030, 5, 6, 12, tzinfo=UTC)
HISTORY = NOON - timedelta(days=1)
LONG_AGO = HISTORY - timedelta(days=1)
HOUR = timedelta(hours=1)

PENDING, OCCURRED, CANCELLED, FAILED = EventStatus
NOTHING, INSERT, MOVE, REPLACE, CANCEL, FAIL = Action
AT_ONCE = Wanted(None, "1")
FAULTY = Faulty("broken")


def row(status, *, touched=False, by_hand=False, note=""):
    deliveries = {"key": {"state": "done"}} if touched else {}
    return Event(at=NOON, correlation="1", status=status, deliveries=deliveries, by_hand=by_hand, note=note)


def at(moment):
    return Wanted(moment, "1")


@pytest.mark.parametrize(
    ("before", "said", "action"),
    [
        (None, None, NOTHING),
        (None, at(NOON), INSERT),
        (None, at(LONG_AGO), NOTHING),
        (None, FAULTY, INSERT),
        (row(PENDING), None, CANCEL),
        (row(PENDING), at(NOON), NOTHING),
        (row(PENDING), Wanted(NOON, "2"), MOVE),
        (row(PENDING), at(NOON + HOUR), MOVE),
        (row(PENDING, touched=True), at(NOON), NOTHING),
        (row(PENDING, touched=True), at(NOON + HOUR), REPLACE),
        (row(PENDING), at(LONG_AGO), CANCEL),
        (row(PENDING), FAULTY, FAIL),
        (row(OCCURRED), None, NOTHING),
        (row(OCCURRED), at(NOON), NOTHING),
        (row(OCCURRED), at(NOON + HOUR), REPLACE),
        (row(OCCURRED), at(NOON - HOUR), NOTHING),
        (row(OCCURRED), FAULTY, NOTHING),
        (row(CANCELLED), None, NOTHING),
        (row(CANCELLED), at(NOON), MOVE),
        (row(CANCELLED, touched=True), at(NOON), MOVE),
        (row(CANCELLED), at(NOON + HOUR), MOVE),
        (row(CANCELLED, touched=True), at(NOON + HOUR), REPLACE),
        (row(CANCELLED), at(LONG_AGO), NOTHING),
        (row(CANCELLED, by_hand=True), at(NOON), NOTHING),
        (row(CANCELLED, by_hand=True), at(NOON + HOUR), MOVE),
        (row(FAILED), None, CANCEL),
        (row(FAILED), at(NOON), MOVE),
        (row(FAILED), at(LONG_AGO), NOTHING),
        (row(FAILED, note="broken"), FAULTY, NOTHING),
        (row(FAILED, note="other"), FAULTY, FAIL),
    ],
)
def test_a_scheduled_event_follows_what_its_entity_says(before, said, action):
    assert decide(Kind.SCHEDULED, before, said, is_new=False, history=HISTORY) is action


def test_a_new_entity_may_have_a_date_that_is_history():
    assert decide(Kind.SCHEDULED, None, at(LONG_AGO), is_new=True, history=HISTORY) is INSERT


@pytest.mark.parametrize(
    ("before", "said", "action"),
    [
        (None, None, NOTHING),
        (None, AT_ONCE, INSERT),
        (row(PENDING), None, NOTHING),
        (row(PENDING), AT_ONCE, NOTHING),
        (row(OCCURRED), AT_ONCE, NOTHING),
        (row(CANCELLED), AT_ONCE, NOTHING),
        (row(FAILED), AT_ONCE, MOVE),
        (row(FAILED), None, CANCEL),
    ],
)
def test_an_immediate_event_is_wanted_once_and_does_not_go_back(before, said, action):
    assert decide(Kind.ONCE, before, said, is_new=False, history=HISTORY) is action


ROWS = [None, *(row(status, touched=touched) for status, touched in product(EventStatus, (False, True)))]
SAYINGS = [None, FAULTY, *(at(moment) for moment in (LONG_AGO, NOON - HOUR, NOON, NOON + HOUR))]


@pytest.mark.parametrize(("before", "said"), list(product(ROWS, SAYINGS)))
def test_an_occurred_event_is_never_changed_back_and_a_missing_one_never_touched(before, said):
    action = decide(Kind.SCHEDULED, before, said, is_new=False, history=HISTORY)
    if before is None:
        assert action in {NOTHING, INSERT}
    elif before.status == OCCURRED:
        assert action in {NOTHING, REPLACE}
    else:
        assert action is not INSERT
