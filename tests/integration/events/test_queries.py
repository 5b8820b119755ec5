"""What saving and occurring cost in queries, and that the search for due events is served by its index."""

import pytest
from django.db import connection, transaction

from django_ai.automation.events import scheduler, subscribe
from django_ai.automation.events.models import Event
from tests.app.models import Appointment, Note, Order
from tests.integration.events.conftest import NOON, minutes

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon")]

SAVE = 1


def test_a_model_without_events_costs_nothing(django_assert_num_queries):
    with transaction.atomic(), django_assert_num_queries(SAVE):
        Note.objects.create()


def test_an_unchanged_scheduled_event_costs_one_query(django_assert_num_queries):
    appointment = Appointment.objects.create(at=NOON + minutes(10))
    with transaction.atomic(), django_assert_num_queries(SAVE + 1):
        appointment.save()


def test_an_unchanged_immediate_event_costs_one_query_once_it_occurred_and_none_before(django_assert_num_queries):
    order = Order.objects.create()
    with transaction.atomic(), django_assert_num_queries(SAVE):
        order.save()
    order.status = "paid"
    order.save()
    with transaction.atomic(), django_assert_num_queries(SAVE + 1):
        order.save()


def test_a_partial_save_costs_two(django_assert_num_queries):
    appointment = Appointment.objects.create(at=NOON + minutes(10))
    with transaction.atomic(), django_assert_num_queries(SAVE + 2):
        appointment.save(update_fields=["title"])


def test_a_new_event_costs_two(django_assert_num_queries):
    with transaction.atomic(), django_assert_num_queries(SAVE + 2):
        Appointment.objects.create(at=NOON + minutes(10))


def queries_of_a_pass(count, django_capture):
    Appointment.objects.all().delete()
    for number in range(count):
        Appointment.objects.create(at=NOON, title=str(number))
    with django_capture() as queries:
        assert scheduler.occur_due() == count
    return len(queries)


@pytest.mark.parametrize("offset_minutes", [0, 30])
def test_a_pass_costs_the_same_for_one_event_and_for_a_whole_batch(offset_minutes):
    from django.test.utils import CaptureQueriesContext

    seen = []
    subscribe("reads the entity", lambda events: seen.extend(event.entity.title for event in events))
    subscribe("comes later", lambda events: None, offset=minutes(offset_minutes))
    # SQLite takes fewer parameters in one statement.
    batch = 200 if connection.vendor != "sqlite" else 40
    one, many = (queries_of_a_pass(count, lambda: CaptureQueriesContext(connection)) for count in (1, batch))
    assert len(seen) == 1 + batch
    assert many == one


def test_a_pass_with_nothing_to_do_costs_two_queries(django_assert_num_queries):
    Appointment.objects.create(at=NOON + minutes(10))
    with django_assert_num_queries(2):
        scheduler.occur_due()


@pytest.mark.postgres
def test_the_search_for_due_events_uses_its_index_and_no_other_table():
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO django_ai_events_event (name, entity_type, entity_id, at, correlation, data, status,
                next_due_at, armed_at, deliveries, failures, note, by_hand, created_at)
            SELECT 'appointment_due', 'testapp.appointment', n::text, moment, n::text, '{}', 'pending',
                moment, now(), '{}', 0, '', false, now()
            FROM (SELECT n, timestamptz '2030-05-06 12:00Z' + n * interval '1 minute' AS moment
                  FROM generate_series(-200, 50000) AS n) AS numbers
            """
        )
        cursor.execute("ANALYZE django_ai_events_event")
    with transaction.atomic():
        plan = scheduler.due_events()[:500].explain()
    assert "Index Scan using event_next_due" in plan
    assert "Seq Scan" not in plan
    assert "Sort" not in plan
    assert Event.objects.due().count() == 201
