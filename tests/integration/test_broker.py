"""Messages go to the broker in bounded time, and a broker that is down hurts nobody for long."""

import socket
import threading

import pytest
from celery import Celery, current_app
from celery.signals import before_task_publish
from kombu import pools

from django_ai.automation import background, broker

TASK = "tests.anything"


def anything(*args):
    return args


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
    monkeypatch.setattr(broker, "_memory", broker._Memory())
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
    options = broker._connection(broker._app()).transport_options
    assert options["socket_timeout"] == 0.5
    assert options["socket_connect_timeout"] == 2.0
    assert options["visibility_timeout"] == 9


def received(app, queue="celery"):
    with app.connection() as connection, connection.SimpleQueue(queue) as messages:
        message = messages.get_nowait()
        message.ack()
        return message


def test_a_projects_routes_options_and_receivers_have_their_say(use_broker, publisher):
    app = use_broker("memory://", task_routes={TASK: {"queue": "routed"}}, task_default_priority=3)
    app.task(anything, name=TASK, shared=False)

    def put_a_header(headers, **_):
        headers["mine"] = "here"

    before_task_publish.connect(put_a_header)
    try:
        assert broker.publish(TASK, queue=None)
    finally:
        before_task_publish.disconnect(put_a_header)
    message = received(app, "routed")
    assert (message.headers["mine"], message.properties["priority"]) == ("here", 3)


def test_of_many_messages_all_but_the_first_are_published_by_a_thread(use_broker, publisher, monkeypatch):
    app, published = use_broker("memory://"), []

    def publish(task, args, **options):
        in_thread = threading.current_thread() is not threading.main_thread()
        published.append((in_thread, broker._app() is app, task, args, options))

    monkeypatch.setattr(publisher, "_send", publish)
    for number in range(3):
        broker.send(TASK, (number,), queue="here")
    assert broker.background.flush()
    assert published == [(number > 0, True, TASK, (number,), {"queue": "here"}) for number in range(3)]


def test_of_many_messages_fewer_may_be_made(use_broker, publisher, monkeypatch):
    use_broker("memory://")
    published = []
    monkeypatch.setattr(publisher, "_send", lambda task, args, **options: published.append((task, args)))
    monkeypatch.setattr(background, "_pause", lambda: let_go.wait(10))
    let_go = threading.Event()

    def sum_up(messages):
        return [broker.Message("sum", (sum(message.args[0] for message in messages),), {})]

    for number in range(4):
        broker.send(TASK, (number,), together=sum_up)
    broker.send(TASK, (7,))
    let_go.set()
    assert broker.background.flush()
    assert published == [(TASK, (0,)), ("sum", (6,)), (TASK, (7,))]


@pytest.mark.parametrize("reason", ["time between", "a setting", "a task", "eager tasks", "no thread", "no broker"])
def test_messages_are_published_at_once(use_broker, publisher, monkeypatch, settings, reason):
    use_broker("memory://", task_always_eager=reason == "eager tasks")
    settings.DJANGO_AI = {"SEND_IN_BACKGROUND": reason != "a setting"}
    if reason == "a task":
        monkeypatch.setattr(broker, "current_task", anything)
    if reason == "no thread":
        monkeypatch.setattr(broker.background, "take", lambda item: False)
    published = []

    def publish(task, args, **options):
        published.append(threading.current_thread())

    monkeypatch.setattr(*(broker, "publisher") if reason == "no broker" else (broker.publisher, "_send"), publish)
    for _ in range(2):
        broker.send(TASK)
        publisher.now[0] += 2 * broker.BURST_SECONDS if reason == "time between" else 0
    assert published == [threading.main_thread()] * 2


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


@pytest.mark.parametrize(("url", "is_in_process"), [("memory://", True), ("redis://localhost/0", False)])
def test_only_a_memory_broker_keeps_its_messages_within_the_process(use_broker, url, is_in_process):
    use_broker(url)
    assert broker.is_in_process() == is_in_process


def test_what_stands_in_for_the_broker_is_no_memory_broker(use_broker, monkeypatch):
    use_broker("memory://")
    monkeypatch.setattr(broker, "publisher", lambda task, args, **options: None)
    assert not broker.is_in_process()
