"""A Celery worker and beat as threads of this process, for `runworkflows`."""

from __future__ import annotations

import logging
import os
import socket
import threading
from time import monotonic
from typing import Any

from celery import Celery
from celery.beat import EmbeddedService
from celery.worker import WorkController, state

from ...conf import settings
from ..authoring.registry import registry
from ..runtime import stopping

logger = logging.getLogger(__name__)

MEMORY = "memory://"

# The in-process broker has nobody to wake it: by default it looks for messages once a second.
MEMORY_POLLING_SECONDS = 0.02

# Pause before a worker that ended by itself is started anew.
RESTART_SECONDS = 1.0

# The default of Celery, which keeps its schedule in a file of the working directory.
PERSISTENT_SCHEDULER = "celery.beat:PersistentScheduler"
SCHEDULER_IN_MEMORY = "celery.beat:Scheduler"


def prepare_broker(app: Celery) -> str:
    """Give an app without a broker the in-process one, make that one quick, and return the URL."""
    conf = app.conf
    if not (conf.broker_url or conf.broker_read_url):
        conf.update(broker_url=MEMORY)
    url = str(conf.broker_read_url or conf.broker_url)
    if url.startswith("memory"):
        options = {"polling_interval": MEMORY_POLLING_SECONDS, **conf.broker_transport_options}
        conf.update(broker_transport_options=options)
    return url


def queues(app: Celery) -> list[str]:
    """Return all queues of the project: Celery's own and those that settings, workflows and steps name."""
    named = [settings.QUEUE, *(definition.queue for definition in registry)]
    named += [step.queue for definition in registry for step in definition.steps.values()]
    return sorted({*app.amqp.queues, *filter(None, named)})


class Worker(threading.Thread):
    """A Celery worker with a pool of threads, started anew if it ends unasked."""

    def __init__(self, app: Celery, concurrency: int) -> None:
        super().__init__(name="celery-worker", daemon=True)
        self._app = app
        self._concurrency = concurrency
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.is_set():
            self._work()
            # Celery's worker gives up at some ways of losing its broker.
            if not self._stopping.wait(RESTART_SECONDS):
                logger.error("The Celery worker has ended and starts anew.")

    def ask_to_stop(self) -> None:
        """Take no more messages; the thread ends when the steps that run now have ended."""
        self._stopping.set()
        stopping.announce()
        state.should_stop = 0  # type: ignore[assignment]

    def _work(self) -> None:
        try:
            self._controller().start()
        except Exception:
            logger.exception("The Celery worker failed.")

    def _controller(self) -> WorkController:
        return WorkController(
            app=self._app,
            # Nobody else's name: with a real broker there may be other workers on this machine.
            hostname=f"runworkflows-{os.getpid()}@{socket.gethostname()}",
            pool_cls="threads",
            concurrency=self._concurrency,
            queues=queues(self._app),
            without_gossip=True,
            without_mingle=True,
        )


class Services:
    """Worker and beat of this process."""

    def __init__(self, app: Celery, *, concurrency: int) -> None:
        state.should_stop = None
        self._worker = Worker(app, concurrency)
        self._beat = _beat(app)

    def start(self) -> None:
        """Start both."""
        self._worker.start()
        self._beat.start()

    def stop(self, timeout: float) -> bool:
        """Ask both to stop, wait up to ``timeout`` seconds, and return whether they have."""
        deadline = monotonic() + timeout
        self._worker.ask_to_stop()
        self._beat.service.stop()
        threads = [thread for thread in (self._worker, self._beat) if thread.is_alive()]
        for thread in threads:
            thread.join(max(0, deadline - monotonic()))
        return not any(thread.is_alive() for thread in threads)


def _beat(app: Celery) -> Any:
    scheduler = app.conf.beat_scheduler
    return EmbeddedService(
        app,
        thread=True,
        scheduler_cls=SCHEDULER_IN_MEMORY if scheduler == PERSISTENT_SCHEDULER else scheduler,
    )
