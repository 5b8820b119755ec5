"""The engine's clock: the database's time, or the process's where a test says so."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db.models import F
from django.utils import timezone

from django_ai.automation import clock
from tests.app.models import Appointment

pytestmark = pytest.mark.django_db

FUTURE = datetime(2040, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_the_database_tells_the_time_and_the_process_does_not():
    before = timezone.now()
    with time_machine.travel(FUTURE, tick=False):
        told = clock.read()
    assert before - MINUTE < told < timezone.now() + MINUTE


def test_rows_are_found_updated_and_read_by_the_time_of_the_database():
    now = timezone.now()
    past, future = (Appointment.objects.create(at=now + offset) for offset in (-MINUTE, MINUTE))
    with time_machine.travel(FUTURE, tick=False):
        assert Appointment.objects.get(at__lte=clock.now()) == past
        assert Appointment.objects.get(at__gt=clock.now()) == future
        Appointment.objects.update(at=clock.now())
        told = Appointment.objects.annotate(told=clock.now()).first().told
    assert abs(Appointment.objects.first().at - now) < MINUTE
    assert abs(told - now) < MINUTE


def test_a_test_may_make_the_process_tell_the_time(django_assert_num_queries):
    with clock.use_process_clock(), time_machine.travel(FUTURE, tick=False), django_assert_num_queries(0):
        assert clock.read() == FUTURE


def test_a_time_told_by_the_process_serves_in_queries_too():
    Appointment.objects.create(at=FUTURE)
    with clock.use_process_clock(), time_machine.travel(FUTURE, tick=False):
        row = Appointment.objects.annotate(told=clock.now()).get(at__lte=clock.now())
        assert row.told == FUTURE
        Appointment.objects.update(at=clock.now() + MINUTE)
        assert Appointment.objects.filter(at=F("at"), at__gt=clock.now()).exists()


def test_the_database_tells_the_time_again_when_the_innermost_and_outermost_are_left():
    with clock.use_process_clock():
        with clock.use_process_clock():
            pass
        with time_machine.travel(FUTURE, tick=False):
            assert clock.read() == FUTURE
    with time_machine.travel(FUTURE, tick=False):
        assert clock.read() < FUTURE
