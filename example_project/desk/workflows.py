"""The onboarding of a property and the approval of an expense: each asks people by forms."""

from decimal import Decimal

from pydantic import BaseModel
from rest_framework.exceptions import ValidationError

from django_ai.automation.workflows.core import complete, get_context, goto, step, wait, workflow
from django_ai.automation.workflows.metadata import FieldDisplayConfig, FieldGroup, StepDisplayMetadata
from django_ai.automation.workflows.statezero_action import statezero_action

from .serializers import ExpenseSerializer, PropertySerializer, ReviewSerializer

# What a member of the staff may spend at once without the board.
HIGHEST_EXPENSE = 5000


@workflow("property_onboarding")
class PropertyOnboardingWorkflow:
    class Context(BaseModel):
        property_name: str = ""
        property_type: str = ""
        bedrooms: int = 0
        amenities: list[str] = []
        email: str = ""

    @statezero_action(name="property_details", serializer=PropertySerializer)
    @step(
        start=True,
        display=StepDisplayMetadata(
            display_title="Set up your property",
            display_description="A few details, and guests can find it.",
            field_groups=[
                FieldGroup(
                    display_title="The property",
                    field_names=["property_name", "property_type", "bedrooms", "amenities"],
                ),
                FieldGroup(
                    display_title="Contact",
                    display_description="Where the proof of ownership goes to.",
                    field_names=["email"],
                ),
            ],
            field_display_configs=[FieldDisplayConfig("bedrooms", display_help_text="0 for a single room.")],
        ),
    )
    def collect_details(self, property_name, property_type, bedrooms, amenities, email):
        ctx = get_context()
        ctx.property_name, ctx.property_type, ctx.bedrooms = property_name, property_type, bedrooms
        ctx.amenities, ctx.email = sorted(amenities), email
        return goto(self.verify_ownership, progress=0.4)

    @wait.for_signal(
        "ownership_verified",
        display_title="Is it yours?",
        display_subtitle="We have sent you an e-mail. Please confirm in it that the property is yours.",
        display_waiting_for="the confirmation",
    )
    @step()
    def verify_ownership(self):
        return goto(self.publish, progress=0.8)

    @step()
    def publish(self):
        return complete(
            display_title="Welcome! 🎉",
            display_subtitle=f"{get_context().property_name} is now live and ready for bookings.",
        )


@workflow("expense_approval")
class ExpenseApprovalWorkflow:
    class Context(BaseModel):
        employee: str = ""
        amount: Decimal = Decimal(0)
        purpose: str = ""
        decision: str = ""
        priority: str = ""
        reviewer_notes: str = ""

    @statezero_action(name="submit_expense", serializer=ExpenseSerializer)
    @step(
        start=True,
        display=StepDisplayMetadata(
            display_title="Hand in an expense",
            display_description="Your manager sees it as soon as you have sent it.",
        ),
    )
    def hand_in(self, employee, amount, spent_on, purpose):
        if amount > HIGHEST_EXPENSE:
            raise ValidationError({"amount": [f"More than {HIGHEST_EXPENSE} needs the board."]})
        ctx = get_context()
        ctx.employee, ctx.amount, ctx.purpose = employee, amount, purpose
        return goto(self.await_review, progress=0.5)

    @statezero_action(name="submit_review", serializer=ReviewSerializer)
    @step(
        display=StepDisplayMetadata(
            display_title="Review the expense",
            display_description="For the manager: approve or reject.",
            field_groups=[
                FieldGroup(display_title="Your decision", field_names=["decision", "priority", "reviewer_notes"])
            ],
        )
    )
    def await_review(self, decision, priority, reviewer_notes=""):
        ctx = get_context()
        ctx.decision, ctx.priority, ctx.reviewer_notes = decision, priority, reviewer_notes
        return goto(self.pay if decision == "approve" else self.refuse, progress=0.9)

    @step()
    def pay(self):
        ctx = get_context()
        return complete(display_title="Approved", display_subtitle=f"{ctx.employee} gets {ctx.amount} back.")

    @step()
    def refuse(self):
        return complete(display_title="Rejected", display_subtitle=get_context().reviewer_notes)
