"""Runs that go through everything that can happen to one, for those who watch."""

from datetime import timedelta

import pytest
from pydantic import BaseModel

from django_ai.automation.workflows.core import Retry, complete, fail, get_context, goto, sleep, step, wait, workflow

SECOND = timedelta(seconds=1)


@pytest.fixture
def journey():
    """A workflow that fails once, sleeps, waits for a signal, and completes or fails as that says."""

    @workflow("journey", default_retry=Retry(max_attempts=2, base_delay=SECOND))
    class Journey:
        class Context(BaseModel):
            stumbles: int = 1
            arrived: bool = True

        @step(start=True)
        def leave(self):
            if self.attempt_fails():
                raise OSError("no road")
            return sleep(SECOND, then=self.rest)

        def attempt_fails(self):
            from django_ai.automation.workflows.models import WorkflowRun

            return WorkflowRun.objects.get(pk=self.run_id).attempt <= get_context().stumbles

        @step()
        def rest(self):
            return wait("morning", then=self.arrive, timeout=timedelta(hours=1))

        @step()
        def arrive(self):
            return goto(self.unpack) if get_context().arrived else fail("lost the way")

        @step()
        def unpack(self):
            return complete()

    return Journey
