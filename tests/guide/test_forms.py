# ruff: noqa: W291, W293
"""The guide's forms: "Step Display Metadata", "StateZero Integration" and the blocks that use them."""

import pytest
from django.apps import apps
from rest_framework import serializers
from rest_framework.test import APIClient

from django_ai.automation.workflows.core import engine
from django_ai.automation.workflows.models import WorkflowRun

from .surroundings import declare, occur, reloaded, run_code
from .test_display import ACCESS_STEP_DISPLAY

STEP_DISPLAY = """\
from django_ai.automation.workflows.metadata import StepDisplayMetadata, FieldGroup, FieldDisplayConfig
from django_ai.automation.workflows.statezero_action import statezero_action

class PropertySerializer(serializers.Serializer):
    workflow_run_id = serializers.IntegerField()
    property_name = serializers.CharField()
    property_type = serializers.CharField()
    bedrooms = serializers.IntegerField()
    email = serializers.EmailField()
    amenities = serializers.ListField()

@statezero_action(name="collect_property_info", serializer=PropertySerializer)
@step(
    start=True,
    display=StepDisplayMetadata(
        display_title="Set Up Your Property",
        display_description="Enter property details to get started with your listing",
        
        # Group related fields together
        field_groups=[
            FieldGroup(
                display_title="Property Information",
                display_description="Basic details about your listing",
                field_names=["property_name", "property_type", "bedrooms"]
            ),
            FieldGroup(
                display_title="Contact Details",
                display_description="How guests can reach you",
                field_names=["email"]
            )
        ],
        
        # Customize individual field display
        field_display_configs=[
            FieldDisplayConfig(
                field_name="amenities",
                display_component="AmenitiesMultiSelect",
                filter_queryset={"is_active": True, "category": "essential"},
                display_help_text="Select all amenities that apply"
            )
        ]
    )
)
def collect_property_info(self, property_name: str, property_type: str, 
                         bedrooms: int, email: str, amenities: list):
    ctx = get_context()
    ctx.property_name = property_name
    return goto(self.next_step)
"""

PROPERTY_ONBOARDING = """\
@workflow("property_onboarding")
class PropertyOnboardingWorkflow:
    class Context(BaseModel):
        property_id: int = 0
        property_name: str = ""
        owner_name: str = ""

    @statezero_action(name="property_details", serializer=PropertyDetailsSerializer)
    @step(
        start=True,
        display=StepDisplayMetadata(
            display_title="Property Details",
            display_description="Tell us about your property",
            field_groups=[
                FieldGroup(
                    display_title="Basic Information",
                    field_names=["property_name", "property_type"]
                )
            ]
        )
    )
    def collect_details(self, property_name: str, property_type: str):
        ctx = get_context()
        ctx.property_name = property_name
        return goto(self.verify_ownership)

    @wait_for_event(
        "ownership_verified",
        timeout=timedelta(minutes=30),
        display_title="Verifying Ownership",
        display_subtitle="Please complete verification in your email",
        display_waiting_for="Email verification"
    )
    @step()
    def verify_ownership(self):
        return goto(self.finalize)

    @step()
    def finalize(self):
        ctx = get_context()
        return complete(
            display_title="Welcome to the Platform! 🎉",
            display_subtitle=f"{ctx.property_name} is now live and ready for bookings"
        )
"""

STATEZERO_INTEGRATION = """\
from django_ai.automation.workflows.statezero_action import statezero_action

class ReviewSerializer(serializers.Serializer):
    workflow_run_id = serializers.IntegerField()
    reviewer_notes = serializers.CharField(max_length=500)
    priority = serializers.ChoiceField(choices=["low", "medium", "high"])

@workflow("expense_approval")
class ExpenseApprovalWorkflow:
    class Context(BaseModel):
        reviewer_notes: str = ""
        priority: str = "medium"

    @step(start=True)
    def start_review(self):
        return goto(self.await_review)

    @statezero_action(name="submit_review", serializer=ReviewSerializer)
    @step(
        display=StepDisplayMetadata(
            display_title="Review Expense",
            display_description="Please review and approve or reject",
            field_groups=[
                FieldGroup(
                    display_title="Review Details",
                    field_names=["reviewer_notes", "priority"]
                )
            ]
        )
    )
    def await_review(self, reviewer_notes: str, priority: str):
        ctx = get_context()
        ctx.reviewer_notes = reviewer_notes
        ctx.priority = priority
        return complete(
            display_title="Review Complete",
            display_subtitle="Expense has been reviewed"
        )

# POST /statezero/actions/submit_review/
# {"workflow_run_id": 123, "reviewer_notes": "Approved", "priority": "high"}
"""

SUMMARY = """\
@workflow("comprehensive_workflow")
class ComprehensiveWorkflow:
    class Context(BaseModel):
        user_name: str = ""
        items_count: int = 0

    @statezero_action(name="collect_info", serializer=InfoSerializer)
    @step(
        start=True,
        display=StepDisplayMetadata(
            display_title="Welcome!",
            display_description="Let's get started",
            field_groups=[
                FieldGroup(
                    display_title="Your Information",
                    field_names=["user_name"]
                )
            ]
        )
    )
    def collect_info(self, user_name: str):
        ctx = get_context()
        ctx.user_name = user_name
        return goto(self.process, progress=0.33)

    @step()
    def process(self):
        ctx = get_context()
        ctx.items_count = 42
        return goto(self.wait_for_confirmation, progress=0.67)

    @wait_for_event(
        "confirmation_received",
        display_title="Waiting for Confirmation",
        display_subtitle="Please check your email",
        display_waiting_for="Email confirmation"
    )
    @step()
    def wait_for_confirmation(self):
        return goto(self.finish)

    @step()
    def finish(self):
        ctx = get_context()
        return complete(
            display_title=f"All Done, {ctx.user_name}!",
            display_subtitle=f"Successfully processed {ctx.items_count} items"
        )

# Access all display metadata:
run = WorkflowRun.objects.get(id=workflow_id)
display = run.current_step_display
# Returns complete display information for current workflow state
"""


class PropertyDetailsSerializer(serializers.Serializer):
    property_name = serializers.CharField()
    property_type = serializers.CharField()


class InfoSerializer(serializers.Serializer):
    user_name = serializers.CharField()


@pytest.fixture(params=["/forms/", "/statezero/"])
def post(request):
    """Post to an action at the app's own address, and at StateZero's."""
    if request.param == "/statezero/" and not apps.is_installed("statezero.adaptors.django"):
        pytest.skip("StateZero is not installed")

    def post(action, run, **data):
        body = {"workflow_run_id": run.pk, **data}
        return APIClient().post(f"{request.param}actions/{action}/", body, format="json")

    return post


STEP_DISPLAY_SURROUNDINGS = """
from django_ai.automation.workflows.statezero_action import statezero_action

class Context(BaseModel):
    property_name: str = ""

@step()
def next_step(self):
    return complete()
"""

PROPERTY = {
    "property_name": "Sea View",
    "property_type": "house",
    "bedrooms": 3,
    "email": "ada@example.com",
    "amenities": ["wifi"],
}


@pytest.fixture
def property_run(workflows):
    steps = declare("property", STEP_DISPLAY_SURROUNDINGS, STEP_DISPLAY, serializers=serializers)
    return engine.start(steps)


def test_the_step_with_display_metadata_takes_its_form(property_run, workflows, post):
    assert post("collect_property_info", property_run, **{**PROPERTY, "email": "nobody"}).status_code == 400
    assert post("collect_property_info", property_run, **PROPERTY).status_code == 200
    workflows.drain()
    assert reloaded(property_run).status == "completed"
    assert reloaded(property_run).data == {"property_name": "Sea View"}


def test_the_display_of_a_form_is_printed_as_the_guide_prints_it(property_run, capsys):
    run_code(ACCESS_STEP_DISPLAY, workflow_id=property_run.pk)
    assert capsys.readouterr().out.splitlines() == [
        "Set Up Your Property",
        "Enter property details to get started with your listing",
        "Group: Property Information",
        "Fields: ['property_name', 'property_type', 'bedrooms']",
        "Group: Contact Details",
        "Fields: ['email']",
        "Field: amenities",
        "Component: AmenitiesMultiSelect",
    ]


def test_a_form_is_an_action_of_a_running_workflow(property_run):
    display = property_run.current_step_display
    assert (display["status"], display["step_type"]) == ("running", "action")
    assert (display["completion_display"], display["waiting_display"]) == ({}, {})
    config = display["step_display"]["field_display_configs"][0]
    assert config["filter_queryset"] == {"is_active": True, "category": "essential"}


def test_the_property_onboarding_goes_from_the_form_to_its_success_screen(workflows, post):
    names = {"serializers": serializers, "PropertyDetailsSerializer": PropertyDetailsSerializer}
    imports = "from django_ai.automation.workflows.statezero_action import statezero_action"
    run_code(imports, PROPERTY_ONBOARDING, **names)
    run = engine.start("property_onboarding")
    answer = post("property_details", run, property_name="Sea View", property_type="house").json()
    assert (answer["status"], answer["step_type"]) == ("suspended", "waiting")
    assert answer["waiting_display"]["display_title"] == "Verifying Ownership"
    occur("ownership_verified")
    workflows.drain()
    display = reloaded(run).current_step_display
    assert (display["status"], display["progress"]) == ("completed", 1.0)
    assert display["completion_display"]["display_subtitle"] == "Sea View is now live and ready for bookings"


def test_a_review_is_posted_to_its_action(workflows, post):
    imports = "from django_ai.automation.workflows.metadata import FieldGroup, StepDisplayMetadata"
    run_code(imports, STATEZERO_INTEGRATION, serializers=serializers)
    run = engine.start("expense_approval")
    workflows.drain()
    assert WorkflowRun.objects.get(pk=run.pk).current_step_display["step_display"]["display_title"] == "Review Expense"
    assert post("submit_review", run, reviewer_notes="Approved", priority="urgent").status_code == 400
    assert post("submit_review", run, reviewer_notes="Approved", priority="high").status_code == 200
    run = reloaded(run)
    assert (run.status, run.data) == ("completed", {"reviewer_notes": "Approved", "priority": "high"})
    assert run.completion_display["display_title"] == "Review Complete"


def test_the_summary_shows_each_kind_of_display_in_its_turn(workflows, post):
    imports = "from django_ai.automation.workflows.statezero_action import statezero_action"
    module = run_code(
        imports, "workflow_id = None", SUMMARY.partition("# Access all")[0], InfoSerializer=InfoSerializer
    )
    run = engine.start(module["ComprehensiveWorkflow"])
    access = "# Access all" + SUMMARY.partition("# Access all")[2]

    def display():
        return run_code(access, workflow_id=run.pk)["display"]

    assert display()["step_display"]["display_title"] == "Welcome!"
    assert post("collect_info", run, user_name="Ada").json()["progress"] == 0.33
    workflows.drain()
    assert (display()["status"], display()["progress"]) == ("suspended", 0.67)
    assert display()["waiting_display"]["display_waiting_for"] == "Email confirmation"
    occur("confirmation_received")
    workflows.drain()
    assert display()["completion_display"] == {
        "display_title": "All Done, Ada!",
        "display_subtitle": "Successfully processed 42 items",
    }
