# ruff: noqa: W293
"""The guide's section "Display Metadata", apart from forms."""

from datetime import timedelta

from rest_framework.test import APIRequestFactory

from django_ai.automation.workflows.core import engine
from django_ai.automation.workflows.models import WorkflowRun

from .surroundings import declare, occur, reloaded, run_code

COMPLETION = """\
@step()
def finalize_order(self):
    ctx = get_context()
    
    return complete(
        display_title="Order Complete! 🎉",
        display_subtitle=f"Order #{ctx.order_id} has been successfully processed"
    )
"""

DYNAMIC_COMPLETION = """\
@step()
def complete_processing(self):
    ctx = get_context()
    
    return complete(
        display_title=f"Welcome, {ctx.user_name}!",
        display_subtitle=f"Successfully processed {ctx.items_count} items in {ctx.duration}s"
    )
"""

ACCESS_COMPLETION = """\
run = WorkflowRun.objects.get(id=workflow_id)
if run.status == WorkflowStatus.COMPLETED:
    print(run.completion_display['display_title'])     # "Order Complete! 🎉"
    print(run.completion_display['display_subtitle'])  # "Order #123 has been..."
"""

WAITING = """\
@wait_for_event(
    "oauth_completed",
    timeout=timedelta(minutes=10),
    display_title="Authorization Required",
    display_subtitle="Please complete OAuth in the popup window",
    display_waiting_for="OAuth authorization"
)
@step()
def wait_for_oauth(self):
    return complete()
"""

ACCESS_WAITING = """\
run = WorkflowRun.objects.get(id=workflow_id)
if run.status == WorkflowStatus.SUSPENDED:
    print(run.waiting_display['display_title'])        # "Authorization Required"
    print(run.waiting_display['display_subtitle'])     # "Please complete OAuth..."
    print(run.waiting_display['display_waiting_for']) # "OAuth authorization"
"""

ACCESS_STEP_DISPLAY = """\
run = WorkflowRun.objects.get(id=workflow_id)
display = run.current_step_display

if display['step_display']:
    print(display['step_display']['display_title'])
    print(display['step_display']['display_description'])
    
    # Field groups
    for group in display['step_display']['field_groups']:
        print(f"Group: {group['display_title']}")
        print(f"Fields: {group['field_names']}")
    
    # Field configs
    for config in display['step_display']['field_display_configs']:
        print(f"Field: {config['field_name']}")
        print(f"Component: {config['display_component']}")
"""

CURRENT_STEP_DISPLAY = """\
run = WorkflowRun.objects.get(id=workflow_id)
display = run.current_step_display

# Returns a dict with:
{
    "status": "running",              # WorkflowStatus
    "current_step": "collect_info",   # Step name
    "step_type": "action",            # "action", "automated", or "waiting"
    "progress": 0.5,                  # 0.0 to 1.0
    
    # One of these will be populated based on state:
    "completion_display": {...},      # If status == COMPLETED
    "waiting_display": {...},         # If status == SUSPENDED
    "step_display": {...},            # If current step has display metadata
}
"""

STATUS_IN_AN_API = """\
from rest_framework.decorators import api_view

@api_view(['GET'])
def workflow_status(request, workflow_id):
    run = WorkflowRun.objects.get(id=workflow_id)
    return Response(run.current_step_display)
"""


def test_a_completed_order_has_its_completion_display(workflows, capsys):
    surroundings = """
class Context(BaseModel):
    order_id: int

@step(start=True)
def begin(self):
    return goto(self.finalize_order)
"""
    run = engine.start(declare("orders", surroundings, COMPLETION), order_id=123)
    workflows.drain()
    run_code(ACCESS_COMPLETION, workflow_id=run.pk)
    assert capsys.readouterr().out == "Order Complete! 🎉\nOrder #123 has been successfully processed\n"


def test_a_completion_display_is_made_of_the_context(workflows):
    surroundings = """
class Context(BaseModel):
    user_name: str
    items_count: int
    duration: int

@step(start=True)
def begin(self):
    return goto(self.complete_processing)
"""
    declare("processing", surroundings, DYNAMIC_COMPLETION)
    run = engine.start("processing", user_name="Ada", items_count=3, duration=9)
    workflows.drain()
    assert reloaded(run).completion_display == {
        "display_title": "Welcome, Ada!",
        "display_subtitle": "Successfully processed 3 items in 9s",
    }


OAUTH = """
@step(start=True)
def begin(self):
    return goto(self.wait_for_oauth)
"""


def test_a_waiting_run_has_its_waiting_display(workflows, capsys):
    run = engine.start(declare("oauth", OAUTH, WAITING))
    workflows.drain()
    run_code(ACCESS_WAITING, workflow_id=run.pk)
    assert capsys.readouterr().out.splitlines() == [
        "Authorization Required",
        "Please complete OAuth in the popup window",
        "OAuth authorization",
    ]


def test_the_body_of_a_decorated_wait_runs_after_the_event(workflows):
    run = engine.start(declare("oauth", OAUTH, WAITING))
    workflows.drain()
    assert not run.step_executions.filter(step_name="wait_for_oauth").exists()
    occur("oauth_completed")
    workflows.drain()
    run = reloaded(run)
    assert (run.status, run.waiting_display) == ("completed", {})


def test_a_decorated_wait_without_a_timeouts_step_fails_and_says_what_it_waited_for(workflows):
    run = engine.start(declare("oauth", OAUTH, WAITING))
    workflows.advance(timedelta(minutes=10))
    run = reloaded(run)
    assert run.status == "failed"
    assert "'oauth_completed'" in run.error
    assert "0:10:00" in run.error


SETUP = """
class Context(BaseModel):
    pass

@step(
    start=True,
    display=StepDisplayMetadata(
        display_title="Set Up Your Property",
        display_description="Enter property details",
        field_groups=[FieldGroup(display_title="Contact Details", field_names=["email"])],
        field_display_configs=[
            FieldDisplayConfig(field_name="amenities", display_component="AmenitiesMultiSelect")
        ],
    ),
)
def collect_info(self):
    return complete(display_title="Done")
"""


def test_the_display_of_a_step_can_be_read_from_the_run(workflows, capsys):
    run = engine.start(declare("setup", SETUP))
    run_code(ACCESS_STEP_DISPLAY, workflow_id=run.pk)
    assert capsys.readouterr().out.splitlines() == [
        "Set Up Your Property",
        "Enter property details",
        "Group: Contact Details",
        "Fields: ['email']",
        "Field: amenities",
        "Component: AmenitiesMultiSelect",
    ]


def shown(run: WorkflowRun) -> dict:
    """Return what the guide's block reads, having checked that it has the keys that the guide prints."""
    reading, _, printed = CURRENT_STEP_DISPLAY.partition("# Returns a dict with:\n")
    display = run_code(reading, workflow_id=run.pk)["display"]
    assert display.keys() == run_code(f"printed = {printed}")["printed"].keys()
    return display


def test_current_step_display_fits_what_the_run_does(workflows):
    run = engine.start(declare("setup", SETUP))
    display = shown(run)
    assert (display["status"], display["current_step"], display["progress"]) == ("running", "collect_info", 0.0)
    assert display["step_type"] == "automated"
    assert (display["completion_display"], display["waiting_display"]) == ({}, {})
    workflows.drain()
    display = shown(run)
    assert (display["status"], display["progress"]) == ("completed", 1.0)
    assert display["completion_display"] == {"display_title": "Done", "display_subtitle": None}
    assert (display["waiting_display"], display["step_display"]) == ({}, {})


def test_current_step_display_of_a_waiting_run(workflows):
    run = engine.start(declare("oauth", OAUTH, WAITING))
    workflows.drain()
    display = shown(run)
    assert (display["status"], display["step_type"]) == ("suspended", "waiting")
    assert display["waiting_display"]["display_waiting_for"] == "OAuth authorization"
    assert (display["completion_display"], display["step_display"]) == ({}, {})


def test_an_api_shows_the_status_of_a_run(workflows):
    run = engine.start(declare("oauth", OAUTH, WAITING))
    workflows.drain()
    view = run_code(STATUS_IN_AN_API)["workflow_status"]
    response = view(APIRequestFactory().get("/"), workflow_id=run.pk)
    assert response.status_code == 200
    assert response.data == reloaded(run).current_step_display
