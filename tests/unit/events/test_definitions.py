"""Declarations of events: their defaults, and what contradicts itself."""

import pytest

from django_ai.automation.events import EventDefinition
from django_ai.automation.events.definitions import Happening, Kind
from django_ai.automation.events.registry import definitions_of, label_of, models_with_events, origins
from tests.app.models import Appointment, Consultation, Note, Visit

CREATE, UPDATE, DELETE = Happening


def holds(row):
    return True


@pytest.mark.parametrize(
    ("options", "kind", "happenings"),
    [
        ({}, Kind.RECURRING, {CREATE}),
        ({"condition": holds}, Kind.ONCE, {CREATE, UPDATE}),
        ({"watch": "status"}, Kind.RECURRING, {CREATE, UPDATE}),
        ({"watch": ["status"], "on": "update"}, Kind.RECURRING, {UPDATE}),
        ({"on": ["create", "delete"], "condition": holds}, Kind.RECURRING, {CREATE, DELETE}),
        ({"date_field": "at"}, Kind.SCHEDULED, {CREATE, UPDATE}),
    ],
)
def test_what_is_declared_decides_when_an_event_is_looked_at(options, kind, happenings):
    definition = EventDefinition("name", **options)
    assert (definition.kind, definition.happenings) == (kind, happenings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": ""}, "1 to 200 characters"),
        ({"name": "x" * 201}, "1 to 200 characters"),
        ({"on": "save"}, "create, update and delete, not 'save'"),
        ({"date_field": "at", "on": "update"}, "occurs at its date_field"),
        ({"date_field": "at", "watch": "title"}, "occurs at its date_field"),
        ({"condition": "paid"}, "condition must be a function"),
        ({"data": {}}, "data must be a function"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        EventDefinition(**{"name": "name", **options})


def test_an_unrelated_attribute_named_events_declares_nothing():
    assert hasattr(Note, "events")
    assert definitions_of(Note) == ()
    assert Note not in set(models_with_events())


def test_proxies_and_children_go_by_the_name_of_the_model_that_declares():
    assert {label_of(model) for model in (Appointment, Visit, Consultation)} == {"testapp.appointment"}
    assert origins()["testapp.appointment"] is Appointment
    assert label_of(Note) == "testapp.note"


def test_what_a_proxy_declares_itself_goes_by_its_own_name(monkeypatch):
    monkeypatch.setattr(Consultation, "events", [EventDefinition("consulted")], raising=False)
    assert label_of(Consultation) == "testapp.consultation"
    assert label_of(Appointment) == "testapp.appointment"


async def coroutine(row): ...


@pytest.mark.parametrize("option", ["condition", "data", "correlate"])
@pytest.mark.parametrize("function", [coroutine, lambda: True])
def test_a_function_that_the_row_cannot_be_given_to_is_refused(option, function):
    with pytest.raises(ValueError, match=f"'name': {option} must be .*a function of the row; it "):
        EventDefinition("name", **{option: function})


@pytest.mark.parametrize("options", [{"name": 5}, {"date_field": 5}, {"correlate": 5}])
def test_what_is_no_name_is_refused(options):
    with pytest.raises(ValueError, match="name"):
        EventDefinition(**{"name": "name", **options})
