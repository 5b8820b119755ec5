"""Messages go to the broker in bounded time, and a broker that is down hurts nobody for long."""

import socket

import pytest
from celery import Celery, current_app
from kombu import pools

from django_ai.automation import broker

TASK = "tests.anything"


def anything(number):
    return number


@pytest.fixture
def use_broker():
    """Make another broker the one that messages go to."""
    project, used = current_app._get_current_object(), []

    def use(url, **conf):
        app = Celery("other", broker=url, set_as_current=False)
        app.conf.update(conf)
        app.set_current()
        used.append(app)
        return app

    yield use
    project.set_current()
    for app in used:
        app.close()
    pools.reset()


@pytest.fixture
def publisher(monkeypatch):
    """A publisher whose time a test sets."""
    publisher = broker.CeleryPublisher()
    now = [1000.0]
    monkeypatch.setattr(broker, "publisher", publisher)
    monkeypatch.setattr(broker, "monotonic", lambda: now[0])
    publisher.now = now
    return publisher


@pytest.fixture
def silent():
    """A server that accepts connections and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_message_arrives(use_broker, publisher):
    app = use_broker("memory://")
    app.task(anything, name=TASK, shared=False)
    assert broker.publish(TASK, (7,), queue="here")
    with app.connection() as connection, connection.SimpleQueue("here") as queue:
        message = queue.get_nowait()
        assert message.headers["task"] == TASK
        assert message.payload[0] == [7]
        message.ack()


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_refuses_is_a_warning(use_broker, publisher, caplog, scheme):
    use_broker(f"{scheme}://127.0.0.1:1//")
    assert not broker.publish(TASK)
    assert "the scheduler will make up for it" in caplog.text


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_is_silent_is_given_up(use_broker, publisher, silent, monkeypatch, scheme):
    monkeypatch.setattr(broker, "TIMEOUT_SECONDS", 0.05)
    use_broker(f"{scheme}://{silent}//")
    assert not broker.publish(TASK)


def test_a_projects_own_time_outs_hold_if_they_are_shorter(use_broker, monkeypatch):
    monkeypatch.setattr(broker, "TIMEOUT_SECONDS", 2.0)
    use_broker("redis://127.0.0.1:1/0", broker_transport_options={"socket_timeout": 0.5, "visibility_timeout": 9})
    options = broker._connection().transport_options
    assert options["socket_timeout"] == 0.5
    assert options["socket_connect_timeout"] == 2.0
    assert options["visibility_timeout"] == 9


def test_after_a_failure_none_is_tried_for_a_while(use_broker, publisher, monkeypatch):
    use_broker("memory://")
    tried = []

    def fail(task, args, **options):
        tried.append(task)
        raise ConnectionError

    monkeypatch.setattr(publisher, "_send", fail)
    assert [broker.publish(TASK) for _ in range(3)] == [False] * 3
    assert len(tried) == 1
    publisher.now[0] += broker.BREAKER_SECONDS
    broker.publish(TASK)
    assert len(tried) == 2


def test_eager_tasks_run_at_once(use_broker, publisher):
    app = use_broker("memory://", task_always_eager=True)
    called = []

    def remember(number):
        called.append(number)

    app.task(remember, name=TASK, shared=False)
    assert broker.publish(TASK, (7,))
    assert called == [7]


def test_a_process_without_the_projects_celery_app_is_warned_of():
    project = current_app._get_current_object()
    assert broker.check_celery(None) == []
    Celery("default", set_as_current=True)  # as Celery's own makeshift is called
    try:
        assert [message.id for message in broker.check_celery(None)] == ["django_ai.W001"]
    finally:
        project.set_current()
