"""What is measured, written once for all contenders; runs in the environment of each."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import count
from typing import Any, Protocol

from benchmarks.marks import Tape

PATIENCE = 300.0  # seconds until a workload that does not end is given up
_numbers = count(1)


class Client(Protocol):
    """How a contender's workflows are started, signalled and watched, by the means it recommends.

    A contender leaves out what it has no counterpart for.
    """

    def start(self, workflow: str, key: str, **params: Any) -> Any:
        """Start a run durably and return a handle to it."""

    def start_many(self, workflow: str, keys: list[str]) -> None:
        """Start a run for each key by the one call that is meant for it."""

    def is_completed(self, run: Any) -> bool:
        """Say whether the run has been recorded as completed."""

    def unfinished(self) -> int:
        """Return how many runs have not ended."""

    def waiting(self) -> int:
        """Return how many runs wait for a signal."""

    def signal(self, run: Any, key: str) -> None:
        """Send the signal that this one run waits for."""

    def broadcast(self) -> None:
        """Send the one signal that all runs of the crowd wait for."""

    def messages(self) -> int:
        """Return how many messages lie with the broker; workers may still have to find that some are done."""


class Measures:
    """The measurements; each returns plain numbers, times in seconds."""

    def __init__(self, client: Client, tape: Tape) -> None:
        self.client = client
        self.tape = tape
        self._filled: set[str] = set()

    def fill(self, workflow: str, runs: int, **params: Any) -> None:
        """Start runs that `finish` waits for; meant to be called while the workers are frozen."""
        self._filled = set(_keys(workflow, runs))
        for key in sorted(self._filled):
            self.client.start(workflow, key, **params)

    def finish(self, patience: float = PATIENCE) -> float:
        """Wait until all runs of `fill` have ended and return when that was (monotonic seconds)."""
        self.tape.wait("done", self._filled, seconds=patience, every=0.005)
        return self._wait_for(lambda: self.client.unfinished() == 0, "the runs' ends")

    def fall_asleep(self, seconds: float) -> None:
        """Start a run that sleeps, and wait until it does."""
        self.client.start("sleeper", "asleep", seconds=seconds)
        self._wait_for(lambda: self.client.waiting() == 1, "one run to sleep")

    def complete(self, workflow: str) -> None:
        """Start a run and wait for its end."""
        run = self.client.start(workflow, "alone")
        self._wait_for(lambda: self.client.is_completed(run), "one run's end")

    def idle(self, samples: int) -> list[float]:
        """Return how long single runs take, from the start to the record of their end."""
        return [self._one_idle() for _ in range(samples)]

    def _one_idle(self) -> float:
        _pause()
        (key,) = _keys("idle", 1)
        started = time.monotonic()
        run = self.client.start("ten", key)
        self.tape.wait("done", {key}, every=0.0002)
        return self._wait_for(lambda: self.client.is_completed(run), "one run's end", every=0.0002) - started

    def signals(self, samples: int) -> list[float]:
        """Return the times from sending a signal to the first line of the step that it resumes."""
        return [self._one_signal() for _ in range(samples)]

    def _one_signal(self) -> float:
        (key,) = _keys("signal", 1)
        run = self.client.start("listener", key)
        self._wait_for(lambda: self.client.waiting() == 1, "one run to wait")
        _pause()
        sent = time.monotonic()
        self.client.signal(run, key)
        return self.tape.wait("resumed", {key}, every=0.0002)[key] - sent

    def sleeps(self, samples: int, seconds: float) -> list[float]:
        """Return by how much runs that sleep so long wake too late."""
        keys = _keys("sleep", samples)
        for key in keys:
            self.client.start("sleeper", key, seconds=seconds)
            time.sleep(random.uniform(0.02, 0.06))
        asleep = self.tape.wait("asleep", set(keys), every=0.005)
        awake = self.tape.wait("awake", set(keys), every=0.005)
        return [awake[key] - asleep[key] - seconds for key in keys]

    def starts(self, runs: int) -> float:
        """Return the seconds that one thread needs to start so many runs, one after the other."""
        keys = _keys("start", runs)
        began = time.monotonic()
        for key in keys:
            self.client.start("ten", key)
        return time.monotonic() - began

    def starts_at_once(self, runs: int) -> float:
        """Return the seconds that one call needs to start so many runs."""
        keys = _keys("many", runs)
        began = time.monotonic()
        self.client.start_many("ten", keys)
        return time.monotonic() - began

    def crowd(self, runs: int) -> float:
        """Return the seconds from one signal to the end of the last of the runs that wait for it."""
        keys = _keys("crowd", runs)
        for key in keys:
            self.client.start("crowd", key)
        self._wait_for(lambda: self.client.waiting() == runs, "the crowd to wait", every=0.05)
        if hasattr(self.client, "messages"):
            self._wait_for(lambda: self.client.messages() == 0, "the workers to come to rest", every=0.05)
        time.sleep(0.5)
        sent = time.monotonic()
        self.client.broadcast()
        self.tape.wait("done", set(keys), seconds=PATIENCE, every=0.005)
        return self._wait_for(lambda: self.client.unfinished() == 0, "the crowd's end") - sent

    def call(self, method: str, **arguments: Any) -> Any:
        """Call what only one client can do and return what it returns."""
        return getattr(self.client, method)(**arguments)

    def _wait_for(self, true: Callable[[], bool], what: str, every: float = 0.001) -> float:
        deadline = time.monotonic() + PATIENCE
        while not true():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {PATIENCE} s for {what}")
            time.sleep(every)
        return time.monotonic()


def _keys(prefix: str, runs: int) -> list[str]:
    return [f"{prefix}-{next(_numbers)}" for _ in range(runs)]


def _pause() -> None:
    # Random, or a contender that polls would be met at the same moment of its interval each time.
    time.sleep(random.uniform(0.03, 0.1))
