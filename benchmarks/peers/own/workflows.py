"""The workloads as workflows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from benchmarks.marks import mark
from benchmarks.peers.own.models import book
from django_ai.automation.workflows.core import complete, get_context, goto, run_subflow, sleep, step, wait, workflow


@workflow("ten")
class Ten:
    """Ten steps, each of which changes the context."""

    class Context(BaseModel):
        key: str
        count: int = 0

    def _count(self) -> None:
        get_context().count += 1

    @step(start=True)
    def one(self) -> Any:
        self._count()
        return goto(self.two)

    @step()
    def two(self) -> Any:
        self._count()
        return goto(self.three)

    @step()
    def three(self) -> Any:
        self._count()
        return goto(self.four)

    @step()
    def four(self) -> Any:
        self._count()
        return goto(self.five)

    @step()
    def five(self) -> Any:
        self._count()
        return goto(self.six)

    @step()
    def six(self) -> Any:
        self._count()
        return goto(self.seven)

    @step()
    def seven(self) -> Any:
        self._count()
        return goto(self.eight)

    @step()
    def eight(self) -> Any:
        self._count()
        return goto(self.nine)

    @step()
    def nine(self) -> Any:
        self._count()
        return goto(self.last)

    @step()
    def last(self) -> Any:
        self._count()
        mark("done", get_context().key)
        return complete()


@workflow("orm")
class Orm:
    """Ten visits of a step that inserts one row and updates one, as steps of real projects do."""

    class Context(BaseModel):
        key: str
        left: int = 10

    @step(start=True)
    def book(self) -> Any:
        context = get_context()
        book(context.key, context.left)
        context.left -= 1
        if context.left:
            return goto(self.book)
        mark("done", context.key)
        return complete()


@workflow("listener")
class Listener:
    """Waits for a signal that is sent to it alone."""

    class Context(BaseModel):
        key: str

    @step(start=True)
    def listen(self) -> Any:
        return wait.for_signal("go", then=self.resumed)

    @step()
    def resumed(self) -> Any:
        mark("resumed", get_context().key)
        return complete()


@workflow("crowd")
class Crowd:
    """Waits for a signal that is sent to all."""

    class Context(BaseModel):
        key: str

    @step(start=True)
    def listen(self) -> Any:
        return wait.for_signal("all", then=self.finish)

    @step()
    def finish(self) -> Any:
        mark("done", get_context().key)
        return complete()


@workflow("sleeper")
class Sleeper:
    """Sleeps once."""

    class Context(BaseModel):
        key: str
        seconds: float

    @step(start=True)
    def rest(self) -> Any:
        mark("asleep", get_context().key)
        return sleep(timedelta(seconds=get_context().seconds), then=self.awake)

    @step()
    def awake(self) -> Any:
        mark("awake", get_context().key)
        return complete()


@workflow("child")
class Child:
    """One step."""

    class Context(BaseModel):
        key: str = ""
        count: int = 0

    @step(start=True)
    def work(self) -> Any:
        get_context().count += 1
        return complete()


@workflow("parent")
class Parent:
    """Starts children, one after the other, and waits for each."""

    class Context(BaseModel):
        key: str
        children: int

    @step(start=True)
    def begin(self) -> Any:
        return run_subflow(Child, on_complete=self.back)

    @step()
    def back(self, subflow_result: Any) -> Any:
        context = get_context()
        context.children -= 1
        if context.children:
            return run_subflow(Child, on_complete=self.back)
        mark("done", context.key)
        return complete()
