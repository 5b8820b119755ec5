# ruff: noqa: W293
"""The guide's section "Quick Start"."""

from .surroundings import reloaded, run_code

BASIC_WORKFLOW = """\
# workflows.py
from pydantic import BaseModel
from django_ai.automation.workflows.core import workflow, step, get_context, complete

@workflow("user_onboarding")
class UserOnboardingWorkflow:
    class Context(BaseModel):
        user_id: int
        email_sent: bool = False
        profile_completed: bool = False
        
    @classmethod
    def create_context(cls, user_id: int):
        return cls.Context(user_id=user_id)
    
    @step(start=True)
    def send_welcome_email(self):
        ctx = get_context()
        # Send email logic here
        ctx.email_sent = True
        return complete()

# Start manually
from django_ai.automation.workflows.core import engine
run = engine.start("user_onboarding", user_id=123)
"""

MULTI_STEP_FLOW = """\
from django_ai.automation.workflows.core import goto

@workflow("order_fulfillment")
class OrderFulfillmentWorkflow:
    class Context(BaseModel):
        order_id: int
        payment_confirmed: bool = False
        items_reserved: bool = False
        shipped: bool = False
    
    @step(start=True)
    def confirm_payment(self):
        ctx = get_context()
        # Payment processing logic
        ctx.payment_confirmed = True
        return goto(self.reserve_inventory)
    
    @step()
    def reserve_inventory(self):
        ctx = get_context()
        # Inventory logic
        ctx.items_reserved = True
        return goto(self.ship_order)
    
    @step()
    def ship_order(self):
        ctx = get_context()
        # Shipping logic
        ctx.shipped = True
        return complete()
"""


def test_the_basic_workflow_starts_and_completes(workflows):
    run = run_code(BASIC_WORKFLOW)["run"]
    assert run.status == "running"
    workflows.drain()
    run = reloaded(run)
    assert (run.name, run.status, run.progress) == ("user_onboarding", "completed", 1.0)
    assert run.data == {"user_id": 123, "email_sent": True, "profile_completed": False}


def test_the_steps_of_an_order_follow_each_other(workflows):
    engine = run_code(MULTI_STEP_FLOW)["engine"]
    run = engine.start("order_fulfillment", order_id=7)
    workflows.drain()
    run = reloaded(run)
    assert run.status == "completed"
    assert run.data == {"order_id": 7, "payment_confirmed": True, "items_reserved": True, "shipped": True}
    names = list(run.step_executions.values_list("step_name", flat=True))
    assert names == ["confirm_payment", "reserve_inventory", "ship_order"]
