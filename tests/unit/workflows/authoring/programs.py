"""Workflows whose graphs the tests know; the lines of the commands are found by their comments."""

from pathlib import Path

from django_ai.automation.workflows import core as c
from django_ai.automation.workflows.core import complete, fail, goto, run_subflow, sleep, step, wait, wait_for_event
from django_ai.automation.workflows.core import goto as go_on
from django_ai.automation.workflows.statezero_action import statezero_action

LAST = "last"


def line(comment: str) -> int:
    """Return the number of the line of this file that ends with a comment."""
    lines = Path(__file__).read_text().splitlines()
    [number] = [number for number, text in enumerate(lines, 1) if text.endswith(f"# {comment}")]
    return number


class Child:
    @step(start=True)
    def only(self):
        return complete()


class Commands:
    @step(start=True)
    def first(self):
        if self.context:
            return goto(self.second, progress=0.5)  # method
        return goto("naps")  # name

    @step()
    def second(self):
        return c.goto(step=self.naps)

    @step()
    def naps(self):
        return sleep(5) if self.context else sleep(5, then=self.asks)

    @step()
    def asks(self):
        return wait.for_signal("answer", timeout=5, on_timeout=self.late)  # asks

    @step()
    def late(self):
        return fail("late")

    @step()
    def answered(self):
        return wait("again", then="listens")

    @step()
    def listens(self):
        return wait_for_event("paid", then=None)

    @step()
    def paid(self):
        return wait.for_event("shipped", then=self.delegates, timeout=1, on_timeout="late")

    @step()
    def delegates(self):
        return run_subflow(Child, on_complete=self.joined, timeout=5, on_timeout=self.late)  # child

    @step()
    def joined(self, subflow_result):
        return run_subflow("child", on_complete="entered")

    @wait_for_event("entry", timeout=5, on_timeout="late")  # decorator
    @step()
    def entered(self):
        return go_on(LAST)

    @statezero_action(timeout=60, on_timeout="late")
    @step()
    def form(self):
        return wait("the last step of the class")

    @step()
    def last(self):
        return goto(self.form if self.context else self.late)


class LastWaits:
    @step(start=True)
    def asks(self):
        return wait("answer")


class Helped:
    """Commands that come from elsewhere than the step's own return."""

    @step(start=True)
    def first(self):
        command = None
        if self.context:
            command = goto(self.by_variable)
        return command or self._from_method(self.context)

    def _from_method(self, context):
        return self._from_static(self)

    @staticmethod
    def _from_static(workflow):
        return from_function(1, workflow)

    @classmethod
    def _from_class(cls):
        return goto(cls.by_class)

    @step()
    def by_variable(self):
        from django_ai.automation.workflows.core import goto as local

        return local(Helped.by_import)

    @step()
    def by_import(self):
        if (found := self._from_class()) is not None:
            return found
        return None

    @step()
    def by_class(self):
        return {"not": "a command"}

    @step()
    def by_function(self):
        """Text that
        is not indented.
        """
        return self.first()

    @step()
    def by_own_call(self):
        def later():
            return self.context

        later()
        return self.first()


def from_function(number, workflow):
    return goto(workflow.by_function) if number else goto(workflow.by_own_call)


class Base:
    @step(start=True)
    def first(self):
        return goto(self.second)  # inherited

    @step()
    def second(self):
        return complete()


class Heir(Base):
    @step()
    def second(self):
        return goto(self.third) if self.context else super().second()

    @step()
    def third(self):
        return complete()


def unwrapped(function):
    def wrapper(self):
        return function(self)

    return wrapper


class Renamed:
    @step(start=True)
    def first(self):
        return goto(self.second)

    @step()
    @unwrapped
    def second(self):
        return complete()


class Dynamic:
    NEXT = "third"

    @step(start=True)
    def first(self):
        target = self.second
        return goto(target)  # unknown

    @step()
    def second(self):
        return goto(self.NEXT)

    @step()
    def third(self):
        return complete()


def made(target):
    class Made:
        """Its names come from the function around it, and from imports of its own."""

        @step(start=True)
        def first(self):
            return goto(target)

        @step()
        def second(self):
            from django_ai.automation.workflows.core import complete as done

            from . import programs

            return programs.goto("first") if target else done()

        @step()
        def third(self):
            def goto(name):
                return name

            return goto("fourth")

    return Made


def unassigned():
    class Early:
        @step(start=True)
        def first(self):
            return goto(later)

    early = Early
    if early is None:
        later = "never"
    return early
