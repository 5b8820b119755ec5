"""Moments at the ends of the calendar are refused where they are taken, and harm nobody where they are stored."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from django_ai.automation.events import scheduler as events_scheduler
from django_ai.automation.events.models import Event
from django_ai.automation.workflows.core import Retry, complete, engine, event_workflow, sleep, step, wait, workflow
from django_ai.automation.workflows.exceptions import DeclarationError, InvalidCommand
from django_ai.automation.workflows.models import Suspension
from django_ai.automation.workflows.runtime import scheduler

pytestmark = pytest.mark.django_db(transaction=True)

NEVER = datetime.max.replace(tzinfo=ZoneInfo("Pacific/Honolulu"))
BEFORE_ALL = datetime.min.replace(tzinfo=ZoneInfo("Asia/Tokyo"))


@pytest.mark.parametrize("moment", [NEVER, BEFORE_ALL, datetime.max.replace(tzinfo=UTC)])
def test_a_moment_that_no_zone_can_show_is_refused(moment):
    with pytest.raises(InvalidCommand, match="years 1000 to 9999"):
        sleep(until=moment)
    with pytest.raises(InvalidCommand, match="years 1000 to 9999"):
        wait.for_event("anything", since=moment)


def test_a_pause_of_more_than_a_thousand_years_is_refused():
    for option in ("base_delay", "max_delay"):
        with pytest.raises(InvalidCommand, match="a thousand years"):
            Retry(**{option: timedelta.max})


@pytest.fixture
def asleep(workflows):
    @workflow("asleep")
    class Asleep:
        @step(start=True)
        def rest(self):
            return sleep(DELAYS[0], then=self.end)

        @step()
        def end(self):
            return complete()

    DELAYS[:] = [60]
    run = engine.start(Asleep)
    workflows.drain()
    return run


DELAYS: list = []


@pytest.mark.parametrize("end", [datetime(9999, 12, 30, tzinfo=UTC), None])
def test_a_sleep_past_the_end_of_the_calendar_fails_its_run(workflows, asleep, end):
    DELAYS[:] = [end - timezone.now() if end else timedelta.max]
    run = engine.start("asleep")
    workflows.drain()
    run.refresh_from_db()
    assert (run.status, run.attempt) == ("failed", 1)
    assert "past the end of the calendar" in run.error


def test_a_sleep_of_some_thousand_years_is_one(workflows, asleep):
    DELAYS[:] = [timedelta(days=365_000 * 5)]
    run = engine.start("asleep")
    workflows.drain()
    run.refresh_from_db()
    assert run.status == "suspended"


def test_the_clock_of_a_test_does_not_go_past_the_calendar(workflows):
    with pytest.raises(ValueError, match="a thousand years"):
        workflows.advance(timedelta.max)


def store(run, text):
    """Give the wait of a run a moment as an earlier release may have stored it."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_ai_workflows_suspension SET due_at = %s WHERE run_id = %s", [text, run.pk])


FAR = ["9999-12-31 23:59:59.999999", "1000-01-01 00:00:00"]
if connection.vendor == "postgresql":
    FAR += ["10000-01-01 09:59:59", "infinity", "-infinity", "0044-03-15 BC"]


@pytest.mark.parametrize("text", FAR)
def test_a_moment_of_a_row_that_no_zone_can_show_is_read_as_the_nearest(asleep, text):
    store(asleep, text)
    with timezone.override("Asia/Tokyo"):
        assert timezone.localtime(Suspension.objects.get().due_at).year in (1000, 9999)
        assert Suspension.objects.values_list("due_at", flat=True).get().year in (1000, 9999)


@pytest.mark.parametrize("text", FAR)
def test_no_page_command_or_pass_of_the_scheduler_fails_for_such_a_row(workflows, asleep, client, text):
    sound = engine.start("asleep")
    workflows.drain()
    store(asleep, text)
    client.force_login(get_user_model().objects.create_superuser("boss"))
    for path in ("", f"{asleep.pk}/change/", "?status=suspended"):
        with timezone.override("Pacific/Kiritimati"):
            page = client.get(f"/admin/django_ai_workflows/workflowrun/{path}")
        assert page.status_code == 200
    for command in (["list"], ["list", "--json"], ["show", str(asleep.pk)], ["health"]):
        with suppress(SystemExit):  # of a health that is not well
            call_command("workflows", *command, stdout=StringIO(), stderr=StringIO())
    scheduler.wake_due(age=timedelta(0))
    engine.wake(sound)
    assert engine.cancel(asleep.pk).status == "cancelled"


def test_no_pass_of_the_scheduler_fails_for_an_event_of_such_a_row(db):
    now = timezone.now()
    event = Event.objects.create(name="far", at=now, armed_at=now, next_due_at=now)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {Event._meta.db_table} SET at = %s", [FAR[-1]])
    events_scheduler.occur_due()
    assert Event.objects.get(pk=event.pk).at.year in (1000, 9999)


def test_a_debounce_of_more_than_a_thousand_years_is_refused():
    with pytest.raises(DeclarationError, match="a thousand years"):
        event_workflow("far_event", debounce=timedelta.max)(type("Far", (), {}))
