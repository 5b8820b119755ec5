"""A run and what belongs to it, as rows: its history, what it waits for, what was sent to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.module_loading import import_string

from ..fields import ExactCharField, MomentField
from . import display
from .machine.commands import WaitKind
from .machine.statuses import FINAL, WorkflowStatus
from .messages import Signal, SignalKey, SignalKind, SignalState
from .records import KIND_CHOICES, STATUS_CHOICES, PastWait, Restart, StepExecution, WaitOutcome
from .vitals import Pulse

__all__ = [
    "EventBurst",
    "PastWait",
    "Pulse",
    "Restart",
    "RunTag",
    "Signal",
    "SignalKey",
    "SignalKind",
    "SignalState",
    "StepExecution",
    "Suspension",
    "WaitOutcome",
    "Workflow",
    "WorkflowRun",
    "WorkflowRunQuerySet",
    "WorkflowStatus",
]


class WorkflowRunQuerySet(models.QuerySet["WorkflowRun"]):
    """Verbs over runs."""

    def active(self) -> WorkflowRunQuerySet:
        """Runs that have not ended."""
        return self.exclude(status__in=FINAL)

    def wanting_worker(self) -> WorkflowRunQuerySet:
        """Runs whose next step waits for a worker or has one."""
        return self.filter(status=WorkflowStatus.RUNNING)

    def retryable(self) -> WorkflowRunQuerySet:
        """Failed runs that ``retry`` repeats without force, as far as columns tell.

        A run that failed before ``retryable`` was kept is among them: its history decides when it is retried.
        """
        return self.filter(RETRYABLE)


# A parent that waits for a run keeps it in active_subworkflow_run_id, also after that wait.
_AWAITED = Q(
    parent_run__status=WorkflowStatus.SUSPENDED,
    parent_run__active_subworkflow_run_id=F("pk"),
    parent_run__suspension__kind=WaitKind.CHILD,
)
_WITHOUT_PARENT = Q(parent_run__isnull=True, parent_deleted__isnull=True)
_CRASHED = Q(retryable=True) | Q(retryable__isnull=True)
RETRYABLE = Q(status=WorkflowStatus.FAILED) & _CRASHED & (_WITHOUT_PARENT | _AWAITED)


def leave_child(collector: Any, field: Any, children: Any, using: str) -> None:
    """Empty ``parent_run`` of the children of a run that is deleted, and mark them: they stay children."""
    models.SET_NULL(collector, field, children, using)
    collector.add_field_update(field.model._meta.get_field("parent_deleted"), value=True, objs=children)


class WorkflowRun(models.Model):
    """One run of a workflow: where it stands and the context it carries.

    A running row is its own outbox: ``lease_until`` says until when a worker owns the step, and
    ``dispatched_at`` when its message was last sent. No index covers a column that changes in every
    step, so that PostgreSQL updates the row in place (HOT).
    """

    name = ExactCharField(max_length=200)
    version = models.CharField(max_length=50, default="1")
    status = models.CharField(max_length=10, choices=STATUS_CHOICES, default=WorkflowStatus.RUNNING)
    current_step = models.CharField(max_length=200, blank=True)
    sequence = models.PositiveIntegerField(default=0, help_text="Number of the run's moves: the fence.")
    attempt = models.PositiveIntegerField(default=0, help_text="Attempts of the current step.")
    progress = models.FloatField(default=0.0)
    data = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    inputs = models.JSONField(default=dict, blank=True, help_text="Arguments of the current step.")
    failures = models.JSONField(default=list, blank=True, help_text="Failed attempts of the current step.")
    error = models.TextField(blank=True)
    # Nullable, as rows of workers with older code have neither.
    failure_kind = models.CharField(  # noqa: DJ001 - null: it has not failed
        max_length=20,
        null=True,
        blank=True,
        help_text="How it failed: fail, exception, or timeout (of a wait).",
    )
    retryable = models.BooleanField(
        null=True, blank=True, help_text="Whether a retry of the failed run needs no force; its parent aside."
    )
    completion_display = display.CompletionDisplayField(default=dict, blank=True)

    parent_run = models.ForeignKey("self", null=True, blank=True, on_delete=leave_child, related_name="child_runs")
    parent_deleted = models.BooleanField(null=True, blank=True, editable=False, help_text="Its parent was deleted.")
    active_subworkflow_run_id = models.BigIntegerField(null=True, blank=True)
    triggered_by_event_id = models.BigIntegerField(null=True, blank=True)

    idempotency_key = ExactCharField(
        max_length=200,
        null=True,
        blank=True,
        help_text="Of all starts of this workflow with this key one made the run.",
    )

    # Not SET_NULL, by which a deleted user's runs would become nobody's, and so everybody's.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="workflow_runs",
        help_text="Whose run it is: who may see it and post its forms, unless the workflow says otherwise.",
    )

    trace_context = models.TextField(blank=True, default="", editable=False, help_text="The trace that it belongs to.")

    lease_until = models.DateTimeField(null=True, blank=True)
    dispatched_at = models.DateTimeField(null=True, blank=True)
    visit_started_at = models.DateTimeField(null=True, blank=True)
    # The engine gives both, by the database's clock.
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = WorkflowRunQuerySet.as_manager()

    class Meta:
        verbose_name = "workflow run"
        indexes = [
            models.Index(fields=["status", "id"], name="workflow_run_status"),
            models.Index(fields=["name", "id"], name="workflow_run_name"),
            models.Index(fields=["finished_at"], name="workflow_run_finished"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["triggered_by_event_id", "name"], name="workflow_run_once_per_event"),
            models.UniqueConstraint(fields=["name", "idempotency_key"], name="workflow_run_once_per_key"),
            models.CheckConstraint(condition=Q(progress__gte=0, progress__lte=1), name="workflow_run_progress"),
            models.CheckConstraint(
                condition=Q(status__in=[status.value for status in WorkflowStatus]),
                name="workflow_run_known_status",
            ),
        ]
        permissions = [
            ("signal_workflowrun", "Can send signals to workflow runs"),
            ("retry_workflowrun", "Can retry workflow runs"),
            ("cancel_workflowrun", "Can cancel workflow runs"),
        ]

    def __str__(self) -> str:
        return f"{self.name} #{self.pk}"

    def cancel(self, reason: str = "") -> None:
        """End the run, and its children, as ``engine.cancel`` does; this object has its columns afterwards.

        Args:
            reason: the run's ``error``.

        Raises:
            IllegalMove: the run has ended already.
        """
        self._take_columns(_engine().cancel(self.pk, reason))

    def retry(self, *, force: bool = False) -> None:
        """Run the failed step again, as ``engine.retry`` does; this object has the run's columns afterwards.

        Args:
            force: repeat also a run that ended by ``fail()``, and a child whose parent no longer waits for it.

        Raises:
            IllegalMove: the run has not failed, or may be repeated by force alone.
        """
        self._take_columns(_engine().retry(self.pk, force=force))

    def _take_columns(self, moved: WorkflowRun) -> None:
        for field in self._meta.concrete_fields:
            setattr(self, field.attname, getattr(moved, field.attname))
        self._state.fields_cache.pop("suspension", None)

    @property
    def waits_for(self) -> Suspension | None:
        """What the run waits for, or None."""
        if self.status != WorkflowStatus.SUSPENDED:
            return None
        return getattr(self, "suspension", None)

    @property
    def wake_at(self) -> datetime | None:
        """When the run wakes by itself or its wait times out."""
        return self.waits_for.due_at if self.waits_for else None

    @property
    def waiting_signal(self) -> str:
        """The name of the signal or event that the run waits for, or an empty string."""
        named = {WaitKind.SIGNAL, WaitKind.EVENT}
        return self.waits_for.name if self.waits_for and self.waits_for.kind in named else ""

    @property
    def waiting_display(self) -> display.Texts:
        """The texts of a suspended run's wait, each key of them there; an empty dict of any other run."""
        if self.status != WorkflowStatus.SUSPENDED:
            return {}
        return display.with_keys(self.waits_for.display if self.waits_for else {}, display.WAITING_KEYS)

    @property
    def current_step_display(self) -> dict[str, Any]:
        """All that a front end needs to show the run as it is now; every key is always there."""
        return display.current_step_display(self)


def _engine() -> Any:
    return import_string(f"{__package__}.runtime.engine.engine")  # which imports this module


class Workflow(WorkflowRun):
    """The runs seen as what they are runs of; the admin lists what the code declares."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = "workflow"
        verbose_name_plural = "workflows"


class RunTag(models.Model):
    """A short text by which runs are found; it says nothing to the engine."""

    run = models.ForeignKey(WorkflowRun, on_delete=models.CASCADE, related_name="tags")
    name = ExactCharField(max_length=50)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["name", "run"], name="workflow_tag_once_per_run")]

    def __str__(self) -> str:
        return str(self.name)


class Suspension(models.Model):
    """What a suspended run waits for; the row exists exactly as long as the wait."""

    run = models.OneToOneField(WorkflowRun, primary_key=True, on_delete=models.CASCADE)
    kind = models.CharField(max_length=10, choices=KIND_CHOICES)
    name = ExactCharField(max_length=200, blank=True)
    correlation = ExactCharField(max_length=200, null=True, blank=True)
    due_at = MomentField(null=True, blank=True)
    since = MomentField(null=True, blank=True)
    then = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 - null: there is none
    on_timeout = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 - null: there is none
    resumes_body = models.BooleanField(default=False)
    accepts = models.JSONField(null=True, blank=True, help_text="Which payloads the wait takes; empty: any.")
    display = models.JSONField(default=dict, blank=True)
    visit = models.JSONField(default=dict, blank=True, help_text="The step's visit that led here.")
    created_at = models.DateTimeField()
    dispatched_at = models.DateTimeField(null=True, blank=True, help_text="When workers were last asked to end it.")

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], name="workflow_suspension_due"),
            models.Index(fields=["name", "correlation"], name="workflow_suspension_name"),
            models.Index(fields=["kind", "run"], name="workflow_suspension_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".strip()


class EventBurst(models.Model):
    """Events that will start one run together, when no further one has come for a while."""

    workflow = ExactCharField(max_length=200)
    key = ExactCharField(max_length=200)
    event_ids = models.JSONField(default=list)
    due_at = MomentField()
    error = models.TextField(blank=True, help_text="Why the run could not be started so far.")

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="workflow_burst_due")]
        constraints = [models.UniqueConstraint(fields=["workflow", "key"], name="workflow_one_burst_per_key")]

    def __str__(self) -> str:
        return f"{self.workflow} {self.key}"
