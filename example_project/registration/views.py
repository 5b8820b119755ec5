"""Registering, and the page behind the link of the e-mail."""

from typing import Any

from django import forms
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from django_ai.automation.workflows.core import engine
from django_ai.automation.workflows.models import Suspension
from shop.endpoints import FormEndpoint, Outcome

from .forms import RegistrationForm
from .workflows import RegistrationWorkflow, key_of


class Register(FormEndpoint):
    form_class = RegistrationForm

    @transaction.atomic
    def act(self, form: RegistrationForm, **kwargs: Any) -> Outcome:
        account = form.save()
        run = engine.start(RegistrationWorkflow, account_id=account.pk, email=account.email)
        return Outcome(page=reverse("home"), data={"run": run.pk, "account": account.pk})


class Verify(FormEndpoint):
    form_class = forms.Form

    def act(self, form: forms.Form, **kwargs: Any) -> Outcome:
        token = kwargs["token"]
        reached = engine.signal("email_verified", correlate=key_of(token))
        page = reverse("verify_email", args=[token])
        return Outcome(
            page=f"{page}?done" if reached else page, data={"reached": reached}, status=200 if reached else 409
        )


# A GET must not verify anything: mail programs open links to look what is there.
@require_safe
def verify_page(request: HttpRequest, token: str) -> HttpResponse:
    """Show the button that verifies the address, or say that the link is of no use any more."""
    waits = Suspension.objects.filter(name="email_verified", correlation=key_of(token)).exists()
    context = {"token": token, "waits": waits, "done": "done" in request.GET}
    return render(request, "registration/verify.html", context)
