"""Several transactions at one moment, on real connections of their own."""

import threading

import pytest
from django.db import connection, connections

from django_ai.automation.workflows.runtime import dispatch, worker

# A race is run this often, so that both orders of it are seen.
ROUNDS = 5

SECOND_TRANSACTION = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has one writing transaction at a time"
)


def needs(feature):
    """Skip the test where the database lacks a feature, which only a connection can say."""
    if not getattr(connection.features, feature):
        pytest.skip(f"this database has no {feature.removeprefix('has_')}")


def elsewhere(function):
    """Run a function on a connection of its own, to its end, and return what it returns."""
    (result,) = together(function)
    return result


def together(*functions):
    """Run functions at the same moment, each on a connection of its own; return what they return."""
    barrier = threading.Barrier(len(functions))
    results, errors = [None] * len(functions), []

    def run(index, function):
        try:
            barrier.wait(60)
            results[index] = function()
        except BaseException as error:  # noqa: BLE001 - it is raised again in the test
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
    return results


def work(sent):
    """Handle all messages here, until none is left."""
    tasks = {dispatch.EXECUTE: worker.execute, dispatch.WAKE: worker.wake, dispatch.DELIVER: worker.deliver}
    while sent:
        task, args = sent.pop(0)
        tasks[task](*args)
