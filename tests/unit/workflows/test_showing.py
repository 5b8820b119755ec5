"""Values, times and tracebacks as people read them."""

import traceback
from datetime import UTC, datetime, timedelta

import pytest

from django_ai.automation.workflows.admin import showing, times
from django_ai.automation.workflows.machine.definition import Retry
from django_ai.automation.workflows.runtime import call

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said", "column", "unit"),
    [
        (0, "0 ms", "0 ms", "0 s"),
        (0.35, "350 ms", "350 ms", "0 s"),
        (5, "5 s", "5 s", "5 s"),
        (60, "1 minute", "1 min 0 s", "1 min"),
        (125, "2 minutes 5 seconds", "2 min 5 s", "2 min"),
        (3 * 3600, "3 hours", "3 h 0 min", "3 h"),
        (26 * 3600, "1 day 2 hours", "1 d 2 h", "1 d"),
        (40 * 86400 + 3600, "40 days", "40 d 1 h", "40 d"),
        (-5, "0 ms", "0 ms", "0 s"),
    ],
)
def test_durations_are_said_in_their_largest_units(seconds, said, column, unit):
    span = timedelta(seconds=seconds)
    assert (times.duration(span), times.compact(span), times.short(span)) == (said, column, unit)


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        (timedelta(minutes=1), "12:01:00"),
        (timedelta(hours=3), "15:00"),
        (timedelta(days=1), "tomorrow 12:00"),
        (timedelta(days=-1), "yesterday 12:00"),
        (timedelta(days=7), "30 Nov 12:00"),
        (timedelta(days=400), "28 Dec 2027 12:00"),
    ],
)
def test_moments_are_said_as_seen_from_now(moved, said):
    assert times.moment(NOW + moved, NOW) == said


def test_values_are_shown_as_they_are_and_long_ones_are_cut():
    assert showing.shown("text") == "text"
    assert showing.shown({"a": [1, None]}) == '{"a": [1, null]}'
    assert showing.shown(list(range(100))).count("\n") == 101
    assert showing.shown("x" * 6_000).endswith("… and 1,000 characters more")


def test_the_frames_of_the_engine_are_left_out_of_a_traceback():
    class Broken:
        pk, sequence, name, inputs = 1, 1, "broken", {}

        def cls(self):
            raise ValueError("no such address")

    try:
        call.call(Broken(), Retry(), Broken(), None)
    except ValueError as error:
        text = "".join(traceback.format_exception(error))
    shown = showing.without_engine(text)
    assert "runtime" in text
    assert "runtime" not in shown
    assert "no such address" in shown
    assert "in cls" in shown
