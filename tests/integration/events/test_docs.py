"""The code of the page on events works as it is printed."""

import re

import pytest
from django.test.utils import isolate_apps

from django_ai.automation.events import definitions, subscriptions
from django_ai.automation.events.registry import definitions_of
from tests.app.models import Order

pytestmark = pytest.mark.django_db


@pytest.fixture
def printed(pytestconfig):
    """Run every block of the page, in order, in one namespace of an application's module."""
    page = (pytestconfig.rootpath / "docs" / "events.md").read_text()
    names = {"__name__": "tests.app.printed"}
    with isolate_apps("tests.app"):
        for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
            exec(block, names)
    return names


def test_the_declarations_are_what_the_page_says(printed):
    kinds = [item.kind for item in definitions_of(printed["Appointment"])]
    assert kinds == [definitions.Kind.RECURRING, definitions.Kind.ONCE, definitions.Kind.SCHEDULED]


@pytest.mark.usefixtures("printed")
def test_the_handlers_are_subscribed():
    assert len(subscriptions.subscriptions.to("appointment_due")) >= 3


def test_what_is_emitted_occurs(printed, tick, heard):
    received = heard("payment_received")
    printed["payment_arrived"](Order.objects.create(), 12)
    tick()
    assert [event.data for event in received.events] == [{"amount": 12}]
