"""The guide's section "Progress Tracking"."""

from django_ai.automation.workflows.core import engine
from django_ai.automation.workflows.runtime import worker

from .surroundings import declare, in_function, reloaded, run_code

STEPS = """\
@step()
def step_one(self):
    return goto(self.step_two, progress=0.25)

@step()
def step_two(self):
    return goto(self.step_three, progress=0.50)

@step()
def step_three(self):
    return goto(self.step_four, progress=0.75)

@step()
def step_four(self):
    return complete()  # Automatically sets progress to 1.0
"""

ACCESS = """\
run = WorkflowRun.objects.get(id=workflow_id)
percentage = run.progress * 100  # Convert 0.0-1.0 to percentage
print(f"Workflow is {percentage:.0f}% complete")
"""

COMBINED = """\
display = run.current_step_display
return {
    "progress": run.progress * 100,
    "status": display['status'],
    "message": display.get('waiting_display', {}).get('display_title', 'Processing...')
}
"""

BEGIN = """
@step(start=True)
def begin(self):
    return goto(self.step_one)
"""


def test_progress_grows_with_the_steps_and_ends_at_one(workflows, settings):
    settings.DJANGO_AI = {"STEPS_PER_TASK": 1}
    run = engine.start(declare("stages", BEGIN, STEPS))
    seen = []
    while run.status == "running":
        worker.execute(run.pk, run.sequence, run.attempt)
        run = reloaded(run)
        seen.append(run.progress)
    assert seen == [0.0, 0.25, 0.50, 0.75, 1.0]


def test_progress_can_be_read_as_a_percentage(workflows, capsys):
    wait_there = "\n@step()\ndef step_two(self):\n    return wait('go_on')\n"
    run = engine.start(declare("stages", BEGIN, STEPS, wait_there))
    workflows.drain()
    run_code(ACCESS, workflow_id=run.pk)
    assert capsys.readouterr().out == "Workflow is 25% complete\n"


def test_progress_combines_with_the_display(workflows):
    wait_there = "\n@step()\ndef step_two(self):\n    return wait('go_on', display_title='Please wait')\n"
    run = engine.start(declare("stages", BEGIN, STEPS, wait_there))
    assert run_code(in_function(COMBINED), run=run)["view"]() == {
        "progress": 0.0,
        "status": "running",
        "message": "Processing...",
    }
    workflows.drain()
    assert run_code(in_function(COMBINED), run=reloaded(run))["view"]() == {
        "progress": 25.0,
        "status": "suspended",
        "message": "Please wait",
    }
