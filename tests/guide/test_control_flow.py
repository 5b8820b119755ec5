# ruff: noqa: W293
"""The guide's section "Control Flow Commands"."""

from datetime import datetime, timedelta

import pytest

from django_ai.automation.workflows.core import engine

from .surroundings import declare, occur, reloaded, run_code

NAVIGATION = """\
from django_ai.automation.workflows.core import goto

@step()
def process_order(self):
    ctx = get_context()
    
    if ctx.order_total > 1000:
        return goto(self.require_approval)
    else:
        return goto(self.fulfill_immediately)

@step()
def require_approval(self):
    # Approval logic
    return goto(self.fulfill_immediately)

@step()
def fulfill_immediately(self):
    # Fulfillment logic
    return complete()
"""

COMPLETION_AND_FAILURE = """\
from django_ai.automation.workflows.core import complete, fail

@step()
def final_step(self):
    ctx = get_context()
    
    if ctx.all_validations_passed:
        # Merge final data into context
        return complete(
            final_status="approved",
            completion_date=timezone.now().isoformat()
        )
    else:
        return fail("Validation failed: missing required documents")
"""

SLEEP = """\
from datetime import timedelta
from django_ai.automation.workflows.core import sleep

@step()
def send_reminder(self):
    # Send initial reminder
    ctx = get_context()
    ctx.reminders_sent += 1
    
    if ctx.reminders_sent < 3:
        # Wait 24 hours before next reminder
        return sleep(timedelta(hours=24))
    else:
        return goto(self.escalate)
"""

SIGNALS = """\
from django_ai.automation.workflows.core import wait

@step()
def wait_for_approval(self):
    # Wait indefinitely for approval signal
    return wait.for_signal("manager_approval")

@step()
def wait_with_timeout(self):
    # Wait for signal with timeout fallback
    return wait.for_signal(
        "user_response",
        timeout=timedelta(days=7),
        on_timeout="send_final_notice"
    )

@step()
def send_final_notice(self):
    # Timeout handler
    return complete(status="expired")

# Send signals from elsewhere in your code
from django_ai.automation.workflows.core import engine
engine.signal("manager_approval", {"approved": True, "notes": "Looks good"})
"""

EVENTS = """\
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


@pytest.mark.parametrize(
    ("total", "steps"),
    [
        (1001, ["begin", "process_order", "require_approval", "fulfill_immediately"]),
        (1000, ["begin", "process_order", "fulfill_immediately"]),
    ],
)
def test_an_order_goes_where_its_total_sends_it(workflows, total, steps):
    surroundings = """
class Context(BaseModel):
    order_total: int

@step(start=True)
def begin(self):
    return goto(self.process_order)
"""
    run = engine.start(declare("orders", surroundings, NAVIGATION), order_total=total)
    workflows.drain()
    assert reloaded(run).status == "completed"
    assert list(run.step_executions.values_list("step_name", flat=True)) == steps


VALIDATION = """
class Context(BaseModel):
    all_validations_passed: bool
    final_status: str = ""
    completion_date: str = ""

@step(start=True)
def begin(self):
    return goto(self.final_step)
"""


def test_completion_merges_its_fields_into_the_context(workflows):
    run = engine.start(declare("validation", VALIDATION, COMPLETION_AND_FAILURE), all_validations_passed=True)
    workflows.drain()
    run = reloaded(run)
    assert (run.status, run.data["final_status"]) == ("completed", "approved")
    assert datetime.fromisoformat(run.data["completion_date"]) == run.finished_at


def test_failure_ends_the_run_with_its_reason_and_without_a_retry(workflows):
    run = engine.start(declare("validation", VALIDATION, COMPLETION_AND_FAILURE), all_validations_passed=False)
    workflows.drain()
    run = reloaded(run)
    assert (run.status, run.error) == ("failed", "Validation failed: missing required documents")
    execution = run.step_executions.get(step_name="final_step")
    assert (execution.status, execution.attempts) == ("failed", 1)


def test_a_reminder_is_sent_each_day_and_then_escalated(workflows):
    surroundings = """
class Context(BaseModel):
    reminders_sent: int = 0

@step(start=True)
def begin(self):
    return goto(self.send_reminder)

@step()
def escalate(self):
    return complete()
"""
    run = engine.start(declare("reminders", surroundings, SLEEP))
    workflows.drain()
    assert (reloaded(run).status, reloaded(run).data["reminders_sent"]) == ("suspended", 1)
    workflows.advance(timedelta(hours=24) - timedelta(seconds=1))
    assert reloaded(run).data["reminders_sent"] == 1
    workflows.advance(timedelta(seconds=1))
    assert reloaded(run).data["reminders_sent"] == 2
    workflows.advance(timedelta(hours=24))
    run = reloaded(run)
    assert (run.status, run.current_step, run.data["reminders_sent"]) == ("completed", "escalate", 3)


STEPS_THAT_WAIT, SENDING_A_SIGNAL = SIGNALS.split("# Send signals from elsewhere in your code\n")

APPROVAL = """
class Context(BaseModel):
    begins: str
    approved: bool = False
    notes: str = ""
    status: str = "open"

@step(start=True)
def begin(self):
    return goto(get_context().begins)
"""


def test_a_run_waits_for_its_signal_indefinitely_and_goes_on_with_the_payload(workflows):
    run = engine.start(declare("approval", APPROVAL, STEPS_THAT_WAIT), begins="wait_for_approval")
    workflows.advance(timedelta(days=365))
    waiting = reloaded(run)
    assert (waiting.status, waiting.waiting_signal, waiting.wake_at) == ("suspended", "manager_approval", None)
    run_code(SENDING_A_SIGNAL)
    workflows.drain()
    run = reloaded(run)
    assert (run.data["approved"], run.data["notes"]) == (True, "Looks good")
    assert (run.current_step, run.waiting_signal) == ("wait_with_timeout", "user_response")


def test_a_signal_in_time_does_not_run_the_timeouts_step(workflows):
    run = engine.start(declare("approval", APPROVAL, STEPS_THAT_WAIT), begins="wait_with_timeout")
    workflows.advance(timedelta(days=6))
    assert engine.signal("user_response") == 1
    workflows.drain()
    run = reloaded(run)
    assert (run.status, run.data["status"]) == ("completed", "open")


def test_a_signal_that_does_not_come_in_time_leads_to_the_timeouts_step(workflows):
    run = engine.start(declare("approval", APPROVAL, STEPS_THAT_WAIT), begins="wait_with_timeout")
    workflows.advance(timedelta(days=7) - timedelta(seconds=1))
    assert reloaded(run).status == "suspended"
    workflows.advance(timedelta(seconds=1))
    run = reloaded(run)
    assert (run.status, run.current_step, run.data["status"]) == ("completed", "send_final_notice", "expired")


PAYMENT = """
class Context(BaseModel):
    event_id: int = 0
    event_name: str = ""
    entity_id: int = 0

@step(start=True)
def begin(self):
    return goto(self.wait_for_payment)
"""

AFTER_PAYMENT = """
@step()
def fulfill_order(self):
    return complete()

@step()
def cancel_order(self):
    return fail("not paid")
"""


def test_an_event_resumes_the_run_and_its_data_are_in_the_context(workflows):
    run = engine.start(declare("payment", PAYMENT, EVENTS, AFTER_PAYMENT))
    workflows.drain()
    assert reloaded(run).waiting_signal == "payment_received"
    occur("payment_received", event_id=5, event_name="payment_received", entity_id=99)
    workflows.drain()
    run = reloaded(run)
    assert run.status == "completed"
    assert run.data == {"event_id": 5, "event_name": "payment_received", "entity_id": 99}
    names = list(run.step_executions.values_list("step_name", flat=True))
    assert names == ["begin", "wait_for_payment", "process_payment", "fulfill_order"]


def test_an_event_that_does_not_occur_in_time_leads_to_the_timeouts_step(workflows):
    run = engine.start(declare("payment", PAYMENT, EVENTS, AFTER_PAYMENT))
    workflows.advance(timedelta(hours=48))
    run = reloaded(run)
    assert (run.status, run.current_step, run.error) == ("failed", "cancel_order", "not paid")
