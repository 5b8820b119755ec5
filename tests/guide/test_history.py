"""The guide's section "Step Execution History"."""

from datetime import timedelta

from django_ai.automation.workflows.core import engine

from .surroundings import declare, reloaded, run_code

HISTORY = """\
from django_ai.automation.workflows.models import StepExecution

run = WorkflowRun.objects.get(id=workflow_id)
executions = run.step_executions.all()

for execution in executions:
    status_emoji = "✅" if execution.status == "completed" else "❌"
    print(f"{status_emoji} {execution.step_name} - {execution.created_at}")
    if execution.error:
        print(f"   Error: {execution.error}")
"""

STEPS = """
class Context(BaseModel):
    slept: bool = False

@step(start=True)
def prepare(self):
    return goto(self.rest)

@step()
def rest(self):
    if not self.context.slept:
        self.context.slept = True
        return sleep(timedelta(hours=1), then=self.ask)
    return complete()

@step()
def ask(self):
    return wait("answer", then=self.explode)

@step(retry=Retry(max_attempts=1))
def explode(self):
    raise ValueError("boom")
"""


def test_history_has_the_completed_and_failed_steps_and_no_sleep_or_wait(workflows, capsys):
    run = engine.start(declare("history", STEPS))
    workflows.advance(timedelta(hours=1))
    assert reloaded(run).waiting_signal == "answer"
    assert "ask" not in run.step_executions.values_list("step_name", flat=True), "it is suspended"
    engine.signal("answer")
    workflows.drain()
    ended = [execution.created_at for execution in run.step_executions.all()]
    run_code(HISTORY, workflow_id=run.pk)
    assert capsys.readouterr().out.splitlines() == [
        f"✅ prepare - {ended[0]}",
        f"✅ rest - {ended[1]}",
        f"✅ ask - {ended[2]}",
        f"❌ explode - {ended[3]}",
        "   Error: ValueError: boom",
    ]
    assert (ended[1] - ended[0], ended[2] - ended[1]) == (timedelta(0), timedelta(hours=1))
    assert reloaded(run).status == "failed"
