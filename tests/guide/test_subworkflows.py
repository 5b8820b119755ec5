"""The guide's section "Subworkflows"."""

from datetime import timedelta

import pytest

from django_ai.automation.workflows.core import engine
from django_ai.automation.workflows.models import WorkflowRun

from .surroundings import declare, occur, reloaded, run_code

BASIC = """\
from django_ai.automation.workflows.core import run_subflow, SubflowResult

# Reusable subworkflow
@workflow("send_notification")
class SendNotificationWorkflow:
    class Context(BaseModel):
        recipient_email: str
        message: str
        sent: bool = False

    @step(start=True)
    def send_email(self):
        ctx = get_context()
        # Email sending logic
        ctx.sent = True
        return complete()

# Parent workflow that uses the subworkflow
@workflow("user_registration")
class UserRegistrationWorkflow:
    class Context(BaseModel):
        user_email: str
        user_id: int = 0
        active_subworkflow_run_id: Optional[int] = None

    @step(start=True)
    def create_user(self):
        ctx = get_context()
        # User creation logic
        ctx.user_id = 123

        # Launch subworkflow
        return run_subflow(
            SendNotificationWorkflow,
            on_complete=self.after_notification,
            recipient_email=ctx.user_email,
            message="Welcome to our platform!"
        )

    @step()
    def after_notification(self, subflow_result: SubflowResult):
        ctx = get_context()

        # Access the subworkflow's result
        if subflow_result.status == WorkflowStatus.COMPLETED:
            notification_ctx = subflow_result.context
            print(f"Email sent: {notification_ctx.sent}")
            return complete()
        else:
            # Handle failure
            return fail(f"Notification failed: {subflow_result.error}")
"""

RESULT = """\
@step()
def handle_subflow(self, subflow_result: SubflowResult):
    # Check completion status
    if subflow_result.status == WorkflowStatus.COMPLETED:
        # Access child workflow's context (fully typed)
        child_data = subflow_result.context
        print(f"Child output: {child_data.some_field}")

    elif subflow_result.status == WorkflowStatus.FAILED:
        # Handle failure
        print(f"Child failed: {subflow_result.error}")

    # Access child run ID if needed
    child_run_id = subflow_result.run_id

    return complete()
"""

NESTED = """\
@workflow("payment_processing")
class PaymentWorkflow:
    class Context(BaseModel):
        amount: Decimal
        processed: bool = False

    @step(start=True)
    def process(self):
        ctx = get_context()
        ctx.processed = True
        return complete()

@workflow("order_fulfillment")
class FulfillmentWorkflow:
    class Context(BaseModel):
        order_id: int
        payment_complete: bool = False
        active_subworkflow_run_id: Optional[int] = None

    @step(start=True)
    def start_payment(self):
        ctx = get_context()
        return run_subflow(
            PaymentWorkflow,
            on_complete=self.after_payment,
            amount=Decimal("99.99")
        )

    @step()
    def after_payment(self, subflow_result: SubflowResult):
        ctx = get_context()
        ctx.payment_complete = subflow_result.context.processed
        return complete()

@workflow("order_management")
class OrderWorkflow:
    class Context(BaseModel):
        customer_id: int
        order_complete: bool = False
        active_subworkflow_run_id: Optional[int] = None

    @step(start=True)
    def start_fulfillment(self):
        return run_subflow(
            FulfillmentWorkflow,
            on_complete=self.finalize,
            order_id=456
        )

    @step()
    def finalize(self, subflow_result: SubflowResult):
        ctx = get_context()
        ctx.order_complete = subflow_result.context.payment_complete
        return complete()
"""

TRACKING = """\
class Context(BaseModel):
    active_subworkflow_run_id: Optional[int] = None
"""

VERIFICATION = '''\
@workflow("email_verification")
class EmailVerificationWorkflow:
    """Reusable email verification - can be used by multiple parent workflows"""

    class Context(BaseModel):
        email: str
        verification_code: str = ""
        verified: bool = False

    @step(start=True)
    def send_code(self):
        ctx = get_context()
        ctx.verification_code = generate_code()
        send_email(ctx.email, ctx.verification_code)
        return goto(self.wait_for_verification)

    @wait_for_event("email_verified", timeout=timedelta(hours=24))
    @step()
    def wait_for_verification(self):
        ctx = get_context()
        ctx.verified = True
        return complete()

# Used by user registration
@workflow("user_registration")
class UserRegistrationWorkflow:
    @step()
    def verify_email(self):
        ctx = get_context()
        return run_subflow(
            EmailVerificationWorkflow,
            on_complete=self.after_verification,
            email=ctx.email
        )

    @step()
    def after_verification(self, subflow_result: SubflowResult):
        if not subflow_result.context.verified:
            return fail("Email verification failed")
        return complete()

# Also used by password reset
@workflow("password_reset")
class PasswordResetWorkflow:
    @step()
    def verify_email(self):
        ctx = get_context()
        return run_subflow(
            EmailVerificationWorkflow,
            on_complete=self.after_verification,
            email=ctx.email
        )

    @step()
    def after_verification(self, subflow_result: SubflowResult):
        if subflow_result.context.verified:
            return goto(self.reset_password)
        return fail("Verification failed")
'''


def test_a_parent_waits_for_its_child_and_reads_its_context(workflows, capsys):
    run_code(BASIC)
    run = engine.start("user_registration", user_email="ada@example.com")
    workflows.drain()
    run = reloaded(run)
    assert (run.status, run.data["user_id"]) == ("completed", 123)
    child = run.child_runs.get()
    assert child.data == {
        "recipient_email": "ada@example.com",
        "message": "Welcome to our platform!",
        "sent": True,
    }
    assert run.data["active_subworkflow_run_id"] == run.active_subworkflow_run_id == child.pk
    assert capsys.readouterr().out == "Email sent: True\n"
    assert [execution.step_name for execution in run.step_executions.all()] == ["create_user", "after_notification"]


def test_a_parent_learns_that_its_child_failed(workflows):
    module = run_code(BASIC)
    module["complete"] = lambda: module["fail"]("no such address")
    run = engine.start("user_registration", user_email="ada@example.com")
    workflows.drain()
    run = reloaded(run)
    assert (run.status, run.error) == ("failed", "Notification failed: no such address")
    assert run.child_runs.get().error == "no such address"


PARENT = """
class Child:
    class Context(BaseModel):
        some_field: str = "value"
        fails: bool

    @step(start=True)
    def work(self):
        return fail("no luck") if self.context.fails else complete()

Child = workflow("child")(Child)

class Context(BaseModel):
    fails: bool

@step(start=True)
def begin(self):
    return run_subflow(Child, on_complete=self.handle_subflow, fails=self.context.fails)
"""


@pytest.mark.parametrize(("fails", "printed"), [(False, "Child output: value\n"), (True, "Child failed: no luck\n")])
def test_the_result_tells_how_the_child_ended(workflows, capsys, fails, printed):
    run = engine.start(declare("parent", PARENT, RESULT), fails=fails)
    workflows.drain()
    assert reloaded(run).status == "completed"
    assert capsys.readouterr().out == printed


def test_children_may_have_children(workflows):
    run_code(NESTED)
    run = engine.start("order_management", customer_id=1)
    workflows.drain()
    run = reloaded(run)
    assert (run.status, run.data["order_complete"]) == ("completed", True)
    fulfillment = run.child_runs.get()
    assert (fulfillment.name, fulfillment.status, fulfillment.data["order_id"]) == (
        "order_fulfillment",
        "completed",
        456,
    )
    payment = fulfillment.child_runs.get()
    assert (payment.status, payment.data) == ("completed", {"amount": "99.99", "processed": True})


def test_the_active_child_is_tracked_in_the_context(workflows):
    surroundings = """
@workflow("patient_child")
class Child:
    @step(start=True)
    def ask(self):
        return wait("never")

@step(start=True)
def begin(self):
    assert get_context().active_subworkflow_run_id is None
    return run_subflow(Child, on_complete=self.end)

@step()
def end(self, subflow_result):
    return complete()
"""
    run = engine.start(declare("tracking", TRACKING, surroundings))
    workflows.drain()
    run = reloaded(run)
    child = WorkflowRun.objects.get(pk=run.data["active_subworkflow_run_id"])
    assert (child.name, child.status, child.parent_run_id) == ("patient_child", "suspended", run.pk)


REUSE = """
@workflow("registration")
class Registration(UserRegistrationWorkflow):
    class Context(BaseModel):
        email: str

    @step(start=True)
    def begin(self):
        return goto(self.verify_email)

@workflow("reset")
class Reset(PasswordResetWorkflow):
    class Context(BaseModel):
        email: str

    @step(start=True)
    def begin(self):
        return goto(self.verify_email)

    @step()
    def reset_password(self):
        return complete()
"""


@pytest.mark.parametrize("parent", ["registration", "reset"])
def test_one_verification_serves_several_parents(workflows, parent):
    mails = []
    run_code(
        VERIFICATION,
        REUSE,
        generate_code=lambda: "1234",
        send_email=lambda *mail: mails.append(mail),
    )
    run = engine.start(parent, email="ada@example.com")
    workflows.drain()
    assert mails == [("ada@example.com", "1234")]
    assert reloaded(run.child_runs.get()).waiting_signal == "email_verified"
    occur("email_verified")
    workflows.drain()
    assert reloaded(run).status == "completed"
    assert run.child_runs.get().data["verified"] is True


@pytest.mark.parametrize(
    ("parent", "error"), [("registration", "Email verification failed"), ("reset", "Verification failed")]
)
def test_a_verification_that_does_not_come_in_time_fails_its_parent(workflows, parent, error):
    run_code(VERIFICATION, REUSE, generate_code=lambda: "1234", send_email=lambda *mail: None)
    run = engine.start(parent, email="ada@example.com")
    workflows.advance(timedelta(hours=24))
    assert "'email_verified'" in run.child_runs.get().error
    assert (reloaded(run).status, reloaded(run).error) == ("failed", error)
