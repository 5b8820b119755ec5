"""A handler that is subscribed wrongly is refused where it stands, with a sentence that says what to write."""

import re
from datetime import UTC, date, datetime, timedelta
from functools import partial
from operator import methodcaller

import pytest

from django_ai.automation.events import on_event, subscribe
from django_ai.automation.events.subscriptions import Subscription, WrongSubscription, subscriptions
from django_ai.automation.events.timing import moment_of

NOON = datetime(2030, 5, 6, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def own_subscriptions(monkeypatch):
    monkeypatch.setattr(subscriptions, "_by_key", {})


def takes_events(events): ...


async def coroutine(event): ...


def generator(event):
    yield event


def takes_nothing(): ...


class Never:
    """Looks like an offset until it is added."""

    def __radd__(self, at):
        raise ValueError("no such day")


class Sometimes:
    """An offset that fails for the dates of one year."""

    def __radd__(self, at):
        if at.year == 2030:
            raise ValueError("no such day")
        return at


@pytest.mark.parametrize("offset", [60, 1.5, "1h", None, Never(), NOON])
@pytest.mark.parametrize("declare", [on_event, lambda name, **options: subscribe("key", takes_events, **options)])
def test_an_offset_that_no_datetime_takes_is_refused_by_name(declare, offset):
    with pytest.raises(WrongSubscription, match=r"offset= takes a timedelta, or what can be added to a datetime"):
        declare("paid", offset=offset)
    assert list(subscriptions) == []


@pytest.mark.parametrize("handler", [partial(takes_events), methodcaller("touch")])
def test_what_has_no_name_handles_events_under_a_key_of_its_own(handler):
    with pytest.raises(WrongSubscription, match=r"which has no name, needs key="):
        on_event("paid")(handler)
    on_event("paid", key="handles")(handler)
    assert [item.key for item in subscriptions] == ["handles"]


@pytest.mark.parametrize("offset", [timedelta.max, timedelta.min, timedelta(days=-1)])
def test_every_timedelta_is_an_offset(offset):
    assert subscribe("key", takes_events, offset=offset).offset == offset


@pytest.mark.parametrize("minutes", ["5", True, float("nan"), float("inf"), None])
def test_minutes_that_are_no_number_of_minutes_are_refused(minutes):
    with pytest.raises(WrongSubscription, match="offset_minutes="):
        on_event("paid", offset_minutes=minutes)


@pytest.mark.parametrize("name", ["", "x" * 201, 5, None])
def test_an_event_that_cannot_be_named_is_refused(name):
    with pytest.raises(ValueError, match=r"name"):
        on_event(name)(takes_events)
    if name is not None:  # which subscribes to all events
        with pytest.raises(ValueError, match="event's name"):
            subscribe("key", takes_events, event=name)


@pytest.mark.parametrize("given", [("paid",), ()])
def test_an_event_that_is_named_twice_or_not_at_all_is_refused(given):
    with pytest.raises(WrongSubscription, match="name"):
        on_event(*given, event_name="paid" if given else None)


def test_the_decorator_without_parentheses_is_refused():
    with pytest.raises(WrongSubscription, match=r'Write @on_event\("the_event"\)'):
        on_event(takes_events)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (coroutine, "not async: nothing awaits it"),
        (generator, "not a generator"),
        (takes_nothing, "cannot be called that way"),
    ],
)
def test_a_function_that_cannot_handle_an_event_is_refused_with_its_line(function, reason):
    place = f"{function.__name__} ({__file__}:{function.__code__.co_firstlineno})"
    with pytest.raises(WrongSubscription, match=f"{re.escape(place)} with one event; it .*{reason}"):
        on_event("paid")(function)
    with pytest.raises(WrongSubscription, match=reason):
        subscribe("key", function)


def test_what_is_no_function_is_no_handler():
    with pytest.raises(WrongSubscription, match=r"must be a function, not 'module\.handler'"):
        subscribe("key", "module.handler")


@pytest.mark.parametrize("key", ["", None, 5])
def test_a_key_is_a_text(key):
    with pytest.raises(WrongSubscription, match="its key must be a text"):
        subscribe(key, takes_events)


def test_an_option_that_is_misspelt_is_refused_with_the_one_that_was_meant():
    with pytest.raises(WrongSubscription, match=r"@on_event takes no 'ofset'\. Did you mean 'offset'\?"):
        on_event("paid", ofset=timedelta(hours=1))
    with pytest.raises(WrongSubscription, match=r"subscribe\(\) takes no 'events'\. Did you mean 'event'\?"):
        subscribe("key", takes_events, events="paid")


@pytest.mark.parametrize("offset", [Sometimes(), 60])
def test_an_offset_that_fails_for_one_date_is_left_out_and_logged(offset, caplog):
    assert moment_of(NOON, offset) is None
    assert "nothing is called then" in caplog.text


def test_an_offset_that_makes_no_moment_is_left_out_and_logged(caplog):
    class ToDate:
        def __radd__(self, at):
            return at.date() if at.year == 2030 else at

    assert Subscription("key", takes_events, offset=ToDate()).wants("paid")
    assert moment_of(NOON, ToDate()) is None
    assert repr(date(2030, 5, 6)) in caplog.text
