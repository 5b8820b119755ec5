"""A run that goes round and round, and one that gets stuck."""

import time

from pydantic import BaseModel

from django_ai.automation.workflows.core import Retry, get_context, goto, step, workflow


@workflow("marathon")
class Marathon:
    class Context(BaseModel):
        laps: int = 0

    @step(start=True)
    def run(self):
        get_context().laps += 1
        return goto(self.run)


@workflow("stuck")
class Stuck:
    @step(start=True, timeout=0.2, retry=Retry(max_attempts=1))
    def block(self):
        time.sleep(3600)
