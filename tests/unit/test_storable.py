"""What a database refuses is escaped or named, and what it can hold is left as it is."""

import math
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_ai.automation import storable

TOKYO = ZoneInfo("Asia/Tokyo")


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("plain", "plain"),
        ("größer €", "größer €"),
        ("😀", "😀"),
        ("x\0y", "x\\x00y"),
        ("x\udc00y", "x\\udc00y"),
        ("ü\0\ud800", "ü\\x00\\ud800"),
        ("", ""),
    ],
)
def test_a_text_is_escaped_where_a_database_refuses_it(text, stored):
    assert storable.text(text) == stored
    assert (storable.fault_of(text) is None) is (text == stored)


@settings(deadline=None)
@given(st.text())
def test_any_text_can_be_stored_when_it_is_escaped(text):
    stored = storable.text(text)
    stored.encode()
    assert "\0" not in stored
    assert storable.text(stored) == stored


DATA = {"a": [1, {"b\0": math.nan}], "c": "\ud800", "d": [math.inf], "e": 1.5}


def test_json_data_are_escaped_as_deep_as_they_go():
    assert storable.data(DATA) == {"a": [1, {"b\\x00": None}], "c": "\\ud800", "d": [None], "e": 1.5}


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ({"a": [1, {"b": "\0"}]}, "a.1.b: a text with the character NUL"),
        ({"a": {"b\0": 1}}, "a: a text with the character NUL as a key"),
        ({"a": "\udfff"}, "a: a text with half of a surrogate pair"),
        ({"a": [math.nan]}, "a.0: the number nan"),
        ({"a": -math.inf}, "a: the number -inf"),
        ({"a": [1, "ä", None, {"b": True}]}, None),
    ],
)
def test_what_cannot_be_stored_is_named_with_its_place(data, fault):
    assert storable.fault_in(data) == fault


class Odd(tzinfo):
    def utcoffset(self, moment):
        raise ValueError("no such time here")


@pytest.mark.parametrize(
    "moment",
    [
        datetime.max.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=ZoneInfo("Pacific/Honolulu")),
        datetime.min.replace(tzinfo=TOKYO),
        datetime.max,  # noqa: DTZ901
        datetime(9999, 12, 31, tzinfo=timezone(timedelta(hours=23))),
        datetime(999, 12, 31, tzinfo=UTC),
        datetime(2026, 1, 1, tzinfo=Odd()),
    ],
)
def test_a_moment_that_some_database_or_zone_lacks_is_none(moment):
    assert not storable.has_moment(moment)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 1, 1, tzinfo=TOKYO),
        datetime(2026, 1, 1),  # noqa: DTZ001
        datetime(5000, 1, 1, tzinfo=UTC),
    ],
)
def test_a_moment_of_the_calendar_is_one(moment):
    assert storable.has_moment(moment)
    assert storable.clamped(moment) == moment


@settings(deadline=None)
@given(st.datetimes(timezones=st.sampled_from([UTC, TOKYO, ZoneInfo("Pacific/Honolulu")])))
def test_a_clamped_moment_can_be_shown_in_every_zone(moment):
    near = storable.clamped(moment)
    for name in ("Asia/Tokyo", "Pacific/Kiritimati", "Pacific/Honolulu", "Etc/GMT+12"):
        assert storable.has_moment(near.astimezone(ZoneInfo(name)))
