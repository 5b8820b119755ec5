"""The guide's "Waiting for Events" and "Event-Triggered Workflows", driven by real events."""

from datetime import timedelta

import pytest
from django.utils import timezone

from django_ai.automation.events import emit
from django_ai.automation.events.subscriptions import subscriptions
from django_ai.automation.workflows.core import engine
from django_ai.automation.workflows.models import WorkflowRun
from tests.app.models import Appointment, Order

from .surroundings import declare, reloaded, run_code

WAITING = """\
from django_ai.automation.workflows.core import wait_for_event

@step()
def wait_for_payment(self):
    # Wait for payment_received event to occur
    return wait_for_event(
        "payment_received",
        timeout=timedelta(hours=48),
        on_timeout="cancel_order"
    )

@step()
def process_payment(self):
    ctx = get_context()
    # Payment was received, context automatically updated with event data
    # ctx.event_id, ctx.event_name, ctx.entity_id are available
    return goto(self.fulfill_order)
"""

AROUND_WAITING = """\
class Context(BaseModel):
    event_id: int = 0
    event_name: str = ""
    entity_id: str = ""

@step(start=True)
def begin(self):
    return goto("wait_for_payment")

@step()
def fulfill_order(self):
    return complete(display_title="Fulfilled")

@step()
def cancel_order(self):
    return complete(display_title="Cancelled")
"""

BASIC = """\
@event_workflow("order_placed")
class OrderProcessingWorkflow:
    class Context(BaseModel):
        order_id: int
        
    @classmethod  
    def create_context(cls, event=None):
        order = event.entity
        return cls.Context(order_id=order.id)
    
    @step(start=True)
    def process_new_order(self):
        return complete()
"""  # noqa: W291, W293 - as it is printed

OFFSET = """\
@event_workflow("appointment_due", offset_minutes=-60)
class PreAppointmentReminder:
    @step(start=True)
    def send_reminder(self):
        return complete(
            display_title="Reminder Sent",
            display_subtitle="Customer notified 1 hour before appointment"
        )
"""


@pytest.fixture(autouse=True)
def forget_subscriptions():
    before = {item.key for item in subscriptions}
    yield
    for key in {item.key for item in subscriptions} - before:
        subscriptions.remove(key)


def test_an_event_resumes_the_wait_and_fills_the_context(workflows):
    declare("Paying", AROUND_WAITING, WAITING)
    run = engine.start("Paying")
    workflows.drain()
    order = Order.objects.create()
    emit("payment_received", order)
    workflows.drain()
    run = reloaded(run)
    assert run.completion_display["display_title"] == "Fulfilled"
    assert (run.data["event_name"], run.data["entity_id"]) == ("payment_received", str(order.pk))
    assert run.data["event_id"]


def test_without_the_event_the_time_out_leads_elsewhere(workflows):
    declare("Paying", AROUND_WAITING, WAITING)
    run = engine.start("Paying")
    workflows.advance(timedelta(hours=47))
    assert reloaded(run).status == "suspended"
    workflows.advance(timedelta(hours=1))
    assert reloaded(run).completion_display["display_title"] == "Cancelled"


def test_an_order_that_is_placed_starts_its_workflow(workflows):
    run_code(BASIC)
    order = Order.objects.create()
    workflows.drain()
    run = WorkflowRun.objects.get()
    assert (run.status, run.data) == ("completed", {"order_id": order.pk})


def test_the_reminder_comes_an_hour_before_the_appointment(workflows):
    run_code(OFFSET)
    Appointment.objects.create(at=timezone.now() + timedelta(hours=3))
    workflows.advance(timedelta(minutes=119))
    assert not WorkflowRun.objects.exists()
    workflows.advance(timedelta(minutes=1))
    assert WorkflowRun.objects.get().completion_display == {
        "display_title": "Reminder Sent",
        "display_subtitle": "Customer notified 1 hour before appointment",
    }
