"""Small workflows that several tests use, declared anew in each test that asks for one."""

from pydantic import BaseModel

from django_ai.automation.workflows.core import complete, get_context, goto, step, wait, workflow
from django_ai.automation.workflows.models import WorkflowRun


def reloaded(run):
    """Return the run as it is in the database now."""
    return WorkflowRun.objects.get(pk=run.pk)


def declare_inquiry(name="inquiry", **wait_options):
    """Declare a workflow that asks for an answer and completes with it."""

    @workflow(name)
    class Inquiry:
        class Context(BaseModel):
            key: str = ""
            answers: list[str] = []
            text: str = ""
            number: int = 0

        @step(start=True)
        def ask(self):
            return wait("answer", then=self.note, **wait_options)

        @step()
        def note(self):
            context = get_context()
            context.answers.append(context.text)
            return complete()

        @step()
        def give_up(self):
            return complete(text="gave up")

    return Inquiry


def declare_collector(count):
    """Declare a workflow that takes ``count`` answers, one after the other."""

    @workflow("collector")
    class Collector:
        class Context(BaseModel):
            answers: list[str] = []
            text: str = ""

        @step(start=True)
        def ask(self):
            return wait("answer", then=self.note)

        @step()
        def note(self):
            context = get_context()
            context.answers.append(context.text)
            return complete() if len(context.answers) == count else goto(self.ask)

    return Collector
