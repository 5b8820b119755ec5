"""Events at a date that a row holds."""

from datetime import date, datetime, timedelta, timezone

import pytest

from django_ai.automation.events.models import Event
from tests.app.models import Appointment, Invoice
from tests.integration.events.conftest import NOON, minutes, rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon")]


def test_an_event_occurs_at_its_date_and_not_before(noon, tick, heard):
    due = heard("appointment_due")
    Appointment.objects.create(at=NOON + minutes(30))
    noon.shift(minutes(29))
    tick()
    assert due.calls == []
    noon.shift(minutes(1))
    tick()
    tick()
    assert due.calls == [["appointment_due"]]
    assert rows() == [("appointment_due", "occurred", NOON + minutes(30))]
