"""A broker, a scheduler, a clock, and a process that can die after any statement, commit or message."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar
from unittest import mock

import time_machine
from django.db import connections
from django.utils import timezone

from django_ai.automation import broker, clock
from django_ai.automation.events import announcing
from django_ai.automation.events import scheduler as events
from django_ai.automation.workflows.models import WorkflowRun
from django_ai.automation.workflows.runtime import dispatch, heartbeat, scheduler, worker

Given = TypeVar("Given")

TASKS: dict[str, Callable[..., object]] = {
    **worker.TASKS,
    dispatch.SEVERAL: worker.several,
    dispatch.TICK: scheduler.tick,
    announcing.OCCUR: events.occur,
}

# Seconds. Whatever was lost must move again within a lease, an age of messages, and two ticks.
LEASE, RESEND, TICK = 1, 1, 2
PATIENCE = LEASE + RESEND + 2 * TICK
# An event counts the processes that died over it, as a step does.
ENGINE = {"LEASE_SECONDS": LEASE, "RESEND_AFTER_SECONDS": RESEND, "TICK_SECONDS": TICK, "EVENT_ATTEMPTS": 1000}


class Crash(BaseException):
    """The process is gone: nothing of it runs any more."""


class Stuck(AssertionError):
    """A run did not move within a lease and a tick of the crash."""


@dataclass(order=True)
class Message:
    """What lies with the broker until its time."""

    due: datetime
    number: int
    task: str = field(compare=False)
    args: tuple[Any, ...] = field(compare=False)


class World:
    """Everything outside of the process, and the process, which dies where ``dies`` says so.

    A boundary is passed when a statement has been executed, a transaction has been committed, or a
    message has been handed to the broker. They are numbered from 1 over the whole life.

    Attributes:
        boundaries: what was passed so far.
        fateful: numbers of the boundaries in acts that changed anything; to die in another changes nothing.
        deaths: how often the process died.
    """

    def __init__(self, traveller: time_machine.Traveller, dies: Callable[[int], bool]) -> None:
        self.boundaries: list[str] = []
        self.fateful: list[int] = []
        self.deaths = 0
        self._dies = dies
        self._dead = False
        self._changed = False
        self._traveller = traveller
        self._messages: list[Message] = []
        self._sent = 0
        self._connection = connections["default"]

    # What a story does.

    def client(self, act: Callable[[], Given], done: Callable[[], Given | None]) -> Given:
        """Do something as a caller of the engine does who tries again until it took effect.

        ``done`` returns what ``act`` would have, if that has taken effect, and else None.
        """
        for _ in range(1000):
            finished, value = self._live(act)
            if finished:
                assert value is not None
                return value
            known = done()
            if known is not None:
                return known
            self._tick()
        raise Stuck("the caller never got through")

    def until(self, true: Callable[[], bool]) -> None:
        """Let workers and scheduler work until ``true()`` holds. Raises Stuck."""
        deaths, started = self.deaths, timezone.now()
        while not true():
            if self.deaths > deaths:  # patience begins anew with each death
                deaths, started = self.deaths, timezone.now()
            if timezone.now() - started > timedelta(seconds=PATIENCE):
                raise Stuck(f"nothing moved for {PATIENCE} s: {list(WorkflowRun.objects.values())}")
            self._work()
            if not true():
                self._tick()

    def sleep(self, delta: timedelta) -> None:
        """Let time pass in which there is nothing to do."""
        self._traveller.shift(delta)

    # The process.

    def _work(self) -> None:
        while self._messages and min(self._messages).due <= timezone.now():
            message = min(self._messages)
            self._messages.remove(message)
            self._live(lambda message=message: TASKS[message.task](*message.args))

    def _tick(self) -> None:
        self._traveller.shift(timedelta(seconds=TICK))
        self._work()
        self._live(scheduler.tick)
        self._live(events.occur_due)

    def _live(self, act: Callable[[], Given]) -> tuple[bool, Given | None]:
        """Return whether the process survived the act, and what that gave."""
        begun = len(self.boundaries)
        self._changed = False
        try:
            with self._alive():
                return True, act()
        except Crash:
            self.deaths += 1
            self._dead = False
            self._connection.close()
            assert not self._connection.in_atomic_block
            return False, None
        finally:
            if self._changed:
                self.fateful.extend(range(begun + 1, len(self.boundaries) + 1))

    @contextmanager
    def _alive(self) -> Iterator[None]:
        commits = mock.patch.object(self._connection, "_commit", self._commit)
        with self._connection.execute_wrapper(self._execute), commits:
            yield

    def _execute(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        self._must_live()
        result = execute(sql, params, many, context)
        self._changed |= not sql.startswith("SELECT") and context["cursor"].rowcount > 0
        self._passed(sql)
        return result

    def _commit(self) -> None:
        self._must_live()
        type(self._connection)._commit(self._connection)
        self._passed("COMMIT")

    def publish(self, task: str, args: tuple[Any, ...], countdown: float = 0, **_: Any) -> None:
        """Take a message as the broker does."""
        self._must_live()
        self._sent += 1
        self._messages.append(Message(timezone.now() + timedelta(seconds=countdown), self._sent, task, args))
        self._changed = True
        self._passed(f"PUBLISH {task}{args}")

    def _must_live(self) -> None:
        if self._dead:
            raise Crash

    def _passed(self, what: str) -> None:
        self.boundaries.append(what)
        if self._dies(len(self.boundaries)):
            self._dead = True
            raise Crash


@contextmanager
def world(dies: Callable[[int], bool]) -> Iterator[World]:
    """Begin a life in which the process dies at each boundary for whose number ``dies`` returns True."""
    with ExitStack() as stack:
        traveller = stack.enter_context(time_machine.travel(timezone.now(), tick=False))
        stack.enter_context(clock.use_process_clock())
        made = World(traveller, dies)
        stack.enter_context(mock.patch.object(broker, "publisher", made.publish))
        # A heart is a thread, which would outlive the process that died, and renew its lease.
        stack.enter_context(mock.patch.object(heartbeat.Heart, "keep"))
        yield made
