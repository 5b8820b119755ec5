"""History as rows: visits of steps and waits that have ended, and runs that began from earlier ones."""

from __future__ import annotations

from datetime import timedelta

from django.db import models

from ..conf import require_app
from .machine.commands import WaitKind
from .machine.statuses import WorkflowStatus

require_app("django_ai.automation.workflows")

STATUS_CHOICES = WorkflowStatus.choices
KIND_CHOICES = [(kind.value, kind.value) for kind in WaitKind]


class StepExecution(models.Model):
    """A step's visit that has ended: completed, or failed for good.

    A visit that launched a child or returned a wait is completed when the run goes on elsewhere: its row is
    written with the move that ends the wait, and says when the visit itself was over.
    """

    # Its constraint serves as the index of the run.
    run = models.ForeignKey("WorkflowRun", on_delete=models.CASCADE, related_name="step_executions", db_index=False)
    sequence = models.PositiveIntegerField()
    step_name = models.CharField(max_length=200)
    status = models.CharField(max_length=10, choices=STATUS_CHOICES)
    attempts = models.PositiveIntegerField(default=1)
    error = models.TextField(blank=True)
    failures = models.JSONField(default=list, blank=True)
    changes = models.JSONField(default=dict, blank=True, help_text="What it changed: {field: [before, after]}.")
    started_at = models.DateTimeField()
    created_at = models.DateTimeField(help_text="When the visit ended.")

    class Meta:
        ordering = ["run_id", "sequence"]
        constraints = [models.UniqueConstraint(fields=["run", "sequence"], name="workflow_step_once_per_visit")]

    def __str__(self) -> str:
        return f"{self.step_name} {self.status}"

    @property
    def duration(self) -> timedelta:
        """How long the visit took, all attempts and the pauses between them included."""
        return self.created_at - self.started_at


class WaitOutcome(models.TextChoices):
    """How a wait ended: by its answer, by the clock as it should, by the clock as a time-out, with the run."""

    ANSWERED = "answered"
    DUE = "due"
    TIMED_OUT = "timed out"
    CANCELLED = "cancelled"


class PastWait(models.Model):
    """A suspension that has ended, back-offs left out: they are part of their step's visit.

    A step's visit that led to a wait, and whose run did not go on elsewhere, has no ``StepExecution``: the run
    came back to the step, failed because no answer came, or was cancelled. The visit itself is in ``visit``: when it
    began, its attempts, their failures, and the changes that it made to the context.
    """

    run = models.ForeignKey("WorkflowRun", on_delete=models.CASCADE, related_name="past_waits", db_index=False)
    sequence = models.PositiveIntegerField()
    step_name = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=KIND_CHOICES)
    name = models.CharField(max_length=200, blank=True)
    outcome = models.CharField(max_length=10, choices=WaitOutcome.choices)
    visit = models.JSONField(default=dict, blank=True)
    terms = models.JSONField(
        null=True,
        blank=True,
        help_text="Terms of a wait whose time-out failed the run; a retry begins it again with them.",
    )
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()

    class Meta:
        ordering = ["run_id", "sequence"]
        constraints = [models.UniqueConstraint(fields=["run", "sequence"], name="workflow_past_wait_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {self.outcome}"


class Restart(models.Model):
    """That a run began at a step of an earlier run, with the context as it was there."""

    run = models.OneToOneField("WorkflowRun", primary_key=True, on_delete=models.CASCADE, related_name="restart_of")
    origin = models.ForeignKey("WorkflowRun", on_delete=models.CASCADE, related_name="restarts")
    sequence = models.PositiveIntegerField(help_text="Where the earlier run was.")

    def __str__(self) -> str:
        return f"run {self.run_id} from run {self.origin_id}"
