"""A registration, and the verification of an e-mail address that other workflows can use too."""

import hashlib
import secrets

from django.conf import settings
from django.core.mail import send_mail
from django.urls import reverse
from pydantic import BaseModel, Field

from django_ai.automation.workflows.core import (
    Command,
    SubflowResult,
    WorkflowStatus,
    complete,
    fail,
    get_context,
    goto,
    run_subflow,
    step,
    wait,
    workflow,
)

from .models import Account

MOST_LINKS = 2


def key_of(token: str) -> str:
    """Return what finds the run of a link: the token itself is a secret, and keys are not."""
    return hashlib.sha256(token.encode()).hexdigest()


@workflow("email_verification")
class EmailVerificationWorkflow:
    class Context(BaseModel):
        email: str
        token: str = Field("", json_schema_extra={"sensitive": True})
        link_key: str = ""
        links_sent: int = 0
        verified: bool = False

    @step(start=True)
    def send_link(self) -> Command:
        ctx = get_context()
        ctx.token = ctx.token or secrets.token_urlsafe(16)
        ctx.link_key = key_of(ctx.token)
        ctx.links_sent += 1
        link = reverse("verify_email", args=[ctx.token])
        send_mail("Is this your address?", f"Then please open {link}", None, [ctx.email])
        return goto(self.confirm, progress=0.5)

    # Decorated: the body runs after the signal.
    @wait.for_signal(
        "email_verified",
        correlate="{link_key}",
        timeout=settings.SHOP_LINK_LIFETIME,
        on_timeout="remind",
        display_title="Verify the address",
        display_subtitle="We have sent a link, please open it",
        display_waiting_for="a click on the link",
    )
    @step()
    def confirm(self) -> Command:
        get_context().verified = True
        return complete(display_title="Verified", display_subtitle=get_context().email)

    @step()
    def remind(self) -> Command:
        if get_context().links_sent < MOST_LINKS:
            return goto(self.send_link)
        return fail("The address was not verified.")


@workflow("registration")
class RegistrationWorkflow:
    class Context(BaseModel):
        account_id: int
        email: str
        active_subworkflow_run_id: int | None = None

    @step(start=True)
    def verify_email(self) -> Command:
        return run_subflow(
            EmailVerificationWorkflow,
            on_complete=self.after_verification,
            email=get_context().email,
            progress=0.3,
            display_title="Verification of the address",
        )

    @step()
    def after_verification(self, subflow_result: SubflowResult[EmailVerificationWorkflow.Context]) -> Command:
        if subflow_result.status == WorkflowStatus.COMPLETED:
            return goto(self.welcome, progress=0.8)
        return goto(self.remove_account)

    @step()
    def welcome(self) -> Command:
        ctx = get_context()
        account = Account.objects.get(pk=ctx.account_id)
        account.verified = True
        account.save(update_fields=["verified"])
        send_mail("Welcome", f"Nice to have you here, {account.name}.", None, [account.email])
        return complete(display_title=f"Welcome, {account.name}!")

    @step()
    def remove_account(self) -> Command:
        Account.objects.filter(pk=get_context().account_id).delete()
        return fail("The address was never verified.")
