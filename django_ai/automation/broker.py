"""Sends messages to Celery in bounded time; whoever sends has the message in the database anyway."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from celery import Celery, current_app, current_task, signature
from django.apps import AppConfig
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning
from django.db import DEFAULT_DB_ALIAS, transaction
from kombu import Connection
from kombu.pools import producers

from .background import Background
from .conf import settings

logger = logging.getLogger(__name__)

# What a user's request may lose to a broker that does not answer: less than a second in all.
TIMEOUT_SECONDS = 0.8

# After a broker has refused a message none is tried for this long: whoever saves a thousand rows
# meanwhile must not wait a thousand times.
BREAKER_SECONDS = 5.0

# A message that follows on another one of this process within this time is one of many. It is more than a start
# takes, and less than it takes to start a run, see it wait, and send it a signal, which must not be kept back.
BURST_SECONDS = 0.003


def publish(task: str, args: tuple[Any, ...] = (), **options: Any) -> bool:
    """Send one message, at once; say whether the broker took it. Never raises.

    Args:
        task: the task's name.
        args: its arguments, JSON.
        options: of Celery's `apply_async` (queue, countdown, …).
    """
    try:
        publisher(task, args, **options)
    except Exception as error:  # noqa: BLE001 - whatever a broker raises, the scheduler makes good
        logger.warning("Could not send %s%s, the scheduler will make up for it: %r", task, args, error)
        return False
    return True


class Message(NamedTuple):
    """What is yet to be sent: a task, its arguments and Celery's options."""

    task: str
    args: tuple[Any, ...]
    options: dict[str, Any]


def as_they_are(messages: list[Message]) -> list[Message]:
    """Put no messages together."""
    return messages


# Makes fewer messages of some that were sent one shortly after another.
Together = Callable[[list[Message]], list[Message]]


def send(task: str, args: tuple[Any, ...] = (), *, together: Together = as_they_are, **options: Any) -> None:
    """Publish at once; or, what follows closely on another message, by a thread, for which nobody waits.

    A single message is fastest sent by the one who has it: a thread would wait for its turn at Python. Of many,
    most of the time is the broker's, and the workers have less to do with fewer. A process that ends has two
    seconds for what it was given; what it takes along then, or when it is killed, the scheduler sends.

    Args:
        task, args, options: as of ``publish``.
        together: what makes fewer of several such messages.
    """
    app, message = _app(), Message(task, args, options)
    is_one_of_many = monotonic() - _memory.sent_at < BURST_SECONDS
    if not (is_one_of_many and _may_be_left(app) and background.take(_Left(app, together, message))):
        publish(task, args, **options)
    _memory.sent_at = monotonic()


@dataclass(slots=True)
class _Memory:
    """What this process knows of its last message: when it was sent."""

    sent_at: float = float("-inf")


_memory = _Memory()


def send_after_commit(
    task: str,
    args: tuple[Any, ...] = (),
    *,
    using: str = DEFAULT_DB_ALIAS,
    together: Together = as_they_are,
    **options: Any,
) -> None:
    """Send when the transaction of the database `using` commits, and never if it rolls back."""
    transaction.on_commit(partial(send, task, args, together=together, **options), using=using, robust=True)


def _may_be_left(app: Celery) -> bool:
    # What stands in for the broker, as the testing kit does, is not to be waited for. A worker's processes end
    # without any ceremony, and nobody waits for its tasks.
    if not isinstance(publisher, CeleryPublisher) or current_task or app.conf.task_always_eager:  # type: ignore[truthy-bool]
        return False
    return settings.SEND_IN_BACKGROUND


class _Left(NamedTuple):
    """A message that is left to the thread."""

    app: Celery
    together: Together
    message: Message


def _publish_left(all_left: list[_Left]) -> None:
    groups: dict[tuple[Celery, Together], list[Message]] = defaultdict(list)
    for left in all_left:
        groups[left.app, left.together].append(left.message)
    for (app, together), messages in groups.items():
        app.set_current()  # of this thread
        for task, args, options in together(messages):
            publish(task, args, **options)


background: Background[_Left] = Background(_publish_left)


def fault() -> str:
    """Say why the broker cannot be reached, in one line; an empty text if it can. Takes about a second at most."""
    try:
        with _new_connection() as connection:
            connection.connect()
    except Exception as error:  # noqa: BLE001 - whatever a broker raises
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""


def is_in_process() -> bool:
    """Return whether the broker's messages stay in their process, so that no other process receives them."""
    conf = current_app.conf
    url = str(conf.broker_read_url or conf.broker_url or "")
    return isinstance(publisher, CeleryPublisher) and url.startswith("memory")


def address() -> str:
    """Return the broker's URL without its password."""
    connection = _new_connection()
    uri = str(connection.as_uri())
    # kombu hides a password even where there is none.
    return uri if connection.password else uri.replace(":**@", "@" if connection.userid else "")


class CeleryPublisher:
    """Publishes with bounded time, and not at all for a while after the broker failed."""

    def __init__(self) -> None:
        self._closed_until = 0.0

    def __call__(self, task: str, args: tuple[Any, ...], **options: Any) -> None:
        if monotonic() < self._closed_until:
            raise ConnectionError("the broker refused a message a moment ago")
        try:
            self._send(task, args, **options)
        except Exception:
            self._closed_until = monotonic() + BREAKER_SECONDS
            raise

    def _send(self, task: str, args: tuple[Any, ...], **options: Any) -> None:
        app = _app()
        if app.conf.task_always_eager:
            signature(task).apply_async(args, **options)
            return
        with producers[_connection(app)].acquire(block=True, timeout=TIMEOUT_SECONDS) as producer:
            signature(task).apply_async(args, producer=producer, ignore_result=True, retry=False, **options)


publisher: Callable[..., None] = CeleryPublisher()


def check_celery(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of a process that never imported the project's Celery app: its messages go nowhere."""
    url: object = current_app.conf.broker_url
    if current_app.main != "default" or url is not None:
        return []
    return [
        CheckWarning(
            "This process has no Celery app, so its messages go to amqp://localhost.",
            hint="Import the app in the __init__.py of your project: from .celery import app as celery_app",
            id="django_ai.W001",
        )
    ]


# To make one takes longer than to send a message.
_connections: WeakKeyDictionary[Celery, Connection] = WeakKeyDictionary()


def _app() -> Celery:
    return current_app._get_current_object()  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001 - what the proxy stands for


def _connection(app: Celery) -> Connection:
    if app not in _connections:
        _connections[app] = _new_connection()
    return _connections[app]


def _new_connection() -> Connection:
    # Celery's own connection waits six seconds for a broker that refuses, and for ever for one that is
    # silent; retry=False does not change that, these options do.
    conf = current_app.conf
    amqp = str(conf.broker_write_url or conf.broker_url or "amqp").startswith(("amqp", "pyamqp"))
    timeouts = ("read_timeout", "write_timeout") if amqp else ("socket_timeout", "socket_connect_timeout")
    bounded = {**dict.fromkeys(timeouts, TIMEOUT_SECONDS), **conf.broker_transport_options}
    bounded.update({name: min(bounded[name] or TIMEOUT_SECONDS, TIMEOUT_SECONDS) for name in timeouts})
    return current_app.connection_for_write(
        connect_timeout=TIMEOUT_SECONDS, transport_options={**bounded, "max_retries": 0}
    )
