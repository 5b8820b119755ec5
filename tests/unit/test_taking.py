"""A worker's task begins with connections that work."""

import pytest
from django.db import connection

from django_ai.automation.workflows.tasks import tick


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_died_is_replaced_before_the_next_task():
    connection.ensure_connection()
    connection.connection.close()
    connection.errors_occurred = True
    tick.before_start("id", (), {})
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


@pytest.mark.django_db(transaction=True)
def test_a_healthy_connection_is_kept():
    connection.ensure_connection()
    before = connection.connection
    tick.before_start("id", (), {})
    assert connection.connection is before
