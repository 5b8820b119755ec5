# ruff: noqa: W293
"""The guide's section "Data Merging"."""

from datetime import datetime
from decimal import Decimal

from django_ai.automation.workflows.core import engine

from .surroundings import declare, reloaded, run_code

COMPLETE = """\
@step()
def finalize_order(self):
    ctx = get_context()
    
    # These kwargs merge into context fields
    return complete(
        final_total=ctx.calculated_total,
        completion_timestamp=timezone.now().isoformat(),
        order_status="completed",
        display_title="Order Complete!",
        display_subtitle=f"Total: ${ctx.calculated_total}"
    )
"""

ORDER_CONTEXT = """\
class OrderContext(BaseModel):
    final_total: Decimal = Decimal("0")
    completion_timestamp: str = ""
    order_status: str = "pending"
"""

REVIEW = """\
@step()
def wait_for_review(self):
    return wait.for_signal("review_completed")

@step()
def process_review(self):
    ctx = get_context()
    # These fields came from the signal payload
    print(f"Reviewed by: {ctx.reviewer_name}")
    print(f"Notes: {ctx.review_notes}")
    print(f"Approved: {ctx.approved}")
    return goto(self.next_step)
"""

SEND_REVIEW = """\
engine.signal("review_completed", {
    "reviewer_name": "Jane Smith",
    "review_notes": "Looks good!",
    "approved": True
})
"""

REVIEW_CONTEXT = """\
class ReviewContext(BaseModel):
    reviewer_name: str = ""
    review_notes: str = ""
    approved: bool = False
"""


def test_complete_merges_declared_fields_and_keeps_the_display_apart(workflows):
    surroundings = """
class Context(OrderContext):
    calculated_total: Decimal = Decimal("12.30")

@step(start=True)
def begin(self):
    return goto(self.finalize_order)
"""
    run = engine.start(declare("orders", ORDER_CONTEXT, surroundings, COMPLETE))
    workflows.drain()
    run = reloaded(run)
    assert Decimal(run.data["final_total"]) == Decimal("12.30")
    assert run.data["order_status"] == "completed"
    assert datetime.fromisoformat(run.data["completion_timestamp"]) == run.finished_at
    assert run.completion_display == {"display_title": "Order Complete!", "display_subtitle": "Total: $12.30"}
    assert not run.data.keys() & {"display_title", "display_subtitle"}


def test_complete_merges_only_fields_that_the_context_has(workflows):
    surroundings = """
class Context(BaseModel):
    calculated_total: int = 5
    order_status: str = "pending"

@step(start=True)
def begin(self):
    return goto(self.finalize_order)
"""
    run = engine.start(declare("orders", surroundings, COMPLETE))
    workflows.drain()
    assert reloaded(run).data == {"calculated_total": 5, "order_status": "completed"}


def test_a_signals_payload_is_in_the_context_of_the_next_step(workflows, capsys):
    surroundings = """
Context = ReviewContext

@step(start=True)
def begin(self):
    return goto(self.wait_for_review)
"""
    next_step = "\n@step()\ndef next_step(self):\n    return complete()\n"
    run = engine.start(declare("review", REVIEW_CONTEXT, surroundings, REVIEW, next_step))
    workflows.drain()
    run_code(SEND_REVIEW)
    workflows.drain()
    run = reloaded(run)
    assert (run.status, run.current_step) == ("completed", "next_step")
    assert run.data == {"reviewer_name": "Jane Smith", "review_notes": "Looks good!", "approved": True}
    assert capsys.readouterr().out == "Reviewed by: Jane Smith\nNotes: Looks good!\nApproved: True\n"
