"""Fixtures of the engine's tests."""

import signal
from datetime import timedelta
from unittest import mock

import pytest

from django_ai.automation import broker
from django_ai.automation.workflows.runtime import dispatch, lanes


@pytest.fixture(autouse=True)
def _calm(monkeypatch):
    """Let no worker think that runs wait for it: it does what a test's message says and nothing else."""
    monkeypatch.setattr(lanes, "CROWDED", timedelta.max)


@pytest.fixture
def sent():
    """The messages that were sent; there is no broker, and no worker but the test's own threads."""
    messages = []

    def publish(task, args, **_):
        if task == dispatch.SEVERAL:  # what goes together is looked at one by one
            messages.extend((args[0], each) for each in args[2])
        else:
            messages.append((task, args))

    with mock.patch.object(broker, "publisher", publish):
        yield messages


@pytest.fixture
def ctrl_c():
    """What presses Ctrl-C, as the main thread of a process sees it that handles it as Python does."""

    def press():
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.signal(signal.SIGINT, before)

    return press
