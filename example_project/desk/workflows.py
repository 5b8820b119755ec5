"""The onboarding of a property and the approval of an expense: each asks people by forms."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from pydantic import BaseModel
from rest_framework.exceptions import ValidationError

from django_ai.automation.workflows.core import Command, complete, goto, step, wait, workflow
from django_ai.automation.workflows.metadata import FieldDisplayConfig, FieldGroup, StepDisplayMetadata
from django_ai.automation.workflows.statezero_action import statezero_action

from .serializers import ContactSerializer, ExpenseSerializer, PropertySerializer, ReviewSerializer, StaySerializer

# What a member of the staff may spend at once without the board.
HIGHEST_EXPENSE = 5000


@workflow("property_onboarding")
class PropertyOnboardingWorkflow:
    """Three forms, one after the other, then the proof by e-mail that the property is the host's."""

    class Context(BaseModel):
        property_name: str = ""
        property_type: str = ""
        bedrooms: int = 0
        price: Decimal = Decimal(0)
        amenities: list[str] = []
        story: str = ""
        email: str = ""

    context: Context

    @statezero_action(name="property_details", serializer=PropertySerializer)
    @step(
        start=True,
        display=StepDisplayMetadata(
            display_title="Set up your property",
            display_description="Three short steps, and guests can find it.",
            field_display_configs=[FieldDisplayConfig("bedrooms", display_help_text="0 for a single room.")],
        ),
    )
    def collect_details(self, property_name: str, property_type: str, bedrooms: int) -> Command:
        ctx = self.context
        ctx.property_name, ctx.property_type, ctx.bedrooms = property_name, property_type, bedrooms
        return goto(self.describe_stay, progress=0.25)

    @statezero_action(name="property_stay", serializer=StaySerializer)
    @step(
        display=StepDisplayMetadata(
            display_title="What guests get",
            display_description="You can change all of this later.",
            field_groups=[
                FieldGroup(display_title="The stay", field_names=["price", "amenities"]),
                FieldGroup(
                    display_title="In your own words",
                    display_description="A sentence or two are enough.",
                    field_names=["story"],
                ),
            ],
        ),
    )
    def describe_stay(self, price: Decimal, amenities: Iterable[str], story: str) -> Command:
        ctx = self.context
        ctx.price, ctx.amenities, ctx.story = price, sorted(amenities), story
        return goto(self.ask_contact, progress=0.5)

    @statezero_action(name="property_contact", serializer=ContactSerializer)
    @step(
        display=StepDisplayMetadata(
            display_title="How to reach you",
            display_description="The proof that the property is yours goes there.",
            field_display_configs=[FieldDisplayConfig("email", display_help_text="Guests do not see it.")],
        ),
    )
    def ask_contact(self, email: str) -> Command:
        self.context.email = email
        return goto(self.verify_ownership)

    @wait.for_signal(
        "ownership_verified",
        progress=0.75,
        display_title="Is it yours?",
        display_subtitle="We have sent you an e-mail. Please confirm in it that the property is yours.",
        display_waiting_for="the confirmation",
    )
    @step()
    def verify_ownership(self) -> Command:
        return goto(self.publish, progress=0.9)

    @step()
    def publish(self) -> Command:
        return complete(
            display_title="Welcome!",
            display_subtitle=f"{self.context.property_name} is now live and ready for bookings.",
        )


@workflow("expense_approval")
class ExpenseApprovalWorkflow:
    """An employee hands in, a manager decides."""

    class Context(BaseModel):
        employee: str = ""
        amount: Decimal = Decimal(0)
        purpose: str = ""
        decision: str = ""
        priority: str = ""
        reviewer_notes: str = ""

    context: Context

    @statezero_action(name="submit_expense", serializer=ExpenseSerializer)
    @step(
        start=True,
        display=StepDisplayMetadata(
            display_title="Hand in an expense",
            display_description="Your manager sees it as soon as you have sent it.",
        ),
    )
    def hand_in(self, employee: str, amount: Decimal, spent_on: date, purpose: str) -> Command:
        if amount > HIGHEST_EXPENSE:
            raise ValidationError({"amount": [f"More than {HIGHEST_EXPENSE} needs the board."]})
        ctx = self.context
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
    def await_review(self, decision: str, priority: str, reviewer_notes: str = "") -> Command:
        ctx = self.context
        ctx.decision, ctx.priority, ctx.reviewer_notes = decision, priority, reviewer_notes
        return goto(self.pay if decision == "approve" else self.refuse, progress=0.9)

    @step()
    def pay(self) -> Command:
        ctx = self.context
        return complete(display_title="Approved", display_subtitle=f"{ctx.employee} gets {ctx.amount} back.")

    @step()
    def refuse(self) -> Command:
        return complete(display_title="Rejected", display_subtitle=self.context.reviewer_notes)
