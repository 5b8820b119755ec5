"""A run that goes round and round."""

from pydantic import BaseModel

from django_ai.automation.workflows.core import get_context, goto, step, workflow


@workflow("marathon")
class Marathon:
    class Context(BaseModel):
        laps: int = 0

    @step(start=True)
    def run(self):
        get_context().laps += 1
        return goto(self.run)
