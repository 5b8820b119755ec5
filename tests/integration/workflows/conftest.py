"""Fixtures of the engine's tests."""

from unittest import mock

import pytest

from django_ai.automation import broker


@pytest.fixture
def sent():
    """The messages that were sent; there is no broker, and no worker but the test's own threads."""
    messages = []

    def publish(task, args, **_):
        messages.append((task, args))

    with mock.patch.object(broker, "publisher", publish):
        yield messages
