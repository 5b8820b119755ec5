"""The form that most tests post, at each address that serves forms."""

from dataclasses import dataclass
from typing import Any

import pytest
from django.apps import apps
from pydantic import BaseModel
from rest_framework import serializers
from rest_framework.test import APIClient

from django_ai.automation.workflows.core import complete, engine, get_context, goto, step, workflow
from django_ai.automation.workflows.statezero_action import statezero_action


@dataclass
class Forms:
    """Posts forms and reads runs at one address."""

    base: str
    client: Any

    def post(self, action: str, run: Any, **data: Any):
        body = {"workflow_run_id": getattr(run, "pk", run), **data}
        return self.client.post(f"{self.base}actions/{action}/", body, format="json")

    def get(self, path: str, **headers: str):
        return self.client.get(f"{self.base}{path}", headers=headers)


@pytest.fixture(params=["/forms/", "/statezero/"])
def base(request):
    if request.param == "/statezero/" and not apps.is_installed("statezero.adaptors.django"):
        pytest.skip("StateZero is not installed")
    return request.param


@pytest.fixture
def forms(base):
    return Forms(base, APIClient())


class ReviewSerializer(serializers.Serializer):
    workflow_run_id = serializers.IntegerField()
    reviewer_notes = serializers.CharField(max_length=500)
    priority = serializers.ChoiceField(choices=["low", "medium", "high"])


@pytest.fixture
def expense_approval():
    @workflow("expense_approval")
    class ExpenseApprovalWorkflow:
        class Context(BaseModel):
            reviewer_notes: str = ""
            priority: str = "medium"

        @step(start=True)
        def start_review(self):
            return goto(self.await_review)

        @statezero_action(name="submit_review", serializer=ReviewSerializer)
        @step()
        def await_review(self, reviewer_notes: str, priority: str):
            ctx = get_context()
            ctx.reviewer_notes = reviewer_notes
            ctx.priority = priority
            return complete(display_title="Review Complete")

    return ExpenseApprovalWorkflow


@pytest.fixture
def review(expense_approval, workflows):
    """A run that waits for its review."""
    run = engine.start(expense_approval)
    workflows.drain()
    run.refresh_from_db()
    assert run.current_step == "await_review"
    return run


GOOD = {"reviewer_notes": "Approved", "priority": "high"}
