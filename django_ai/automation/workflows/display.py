"""What a front end shows of a run: one dict, made of the run's row and its step's declaration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models.query_utils import DeferredAttribute

from .authoring.registry import registry
from .machine.commands import WaitKind
from .machine.definition import StepDefinition
from .machine.statuses import COMPLETED, FAILED, RUNNING, SUSPENDED, FailureKind
from .metadata import StepDisplayMetadata

if TYPE_CHECKING:
    from .models import WorkflowRun

# The keys of the two displays that commands fill; a text that was not given is None.
COMPLETION_KEYS = ("display_title", "display_subtitle")
WAITING_KEYS = (*COMPLETION_KEYS, "display_waiting_for")

Texts = dict[str, str | None]


def with_keys(texts: Mapping[str, str | None], keys: tuple[str, ...]) -> Texts:
    """Return ``texts`` with all ``keys``, None for a text that was not given."""
    return {**dict.fromkeys(keys), **texts}


class _CompletionTexts(DeferredAttribute):
    """Reads the stored texts of a run, with all their keys once the run has completed or failed.

    Rows that lack keys are read so too: the engine stores only what was given.
    """

    def __get__(self, run: Any, cls: type | None = None) -> Any:
        texts = super().__get__(run, cls)
        has_keys = run is not None and run.status in (COMPLETED, FAILED)
        return with_keys(texts, COMPLETION_KEYS) if has_keys else texts

    def __set__(self, run: Any, texts: Texts) -> None:
        run.__dict__[self.field.attname] = texts


class CompletionDisplayField(models.JSONField):
    """The texts with which a step ended its run."""

    descriptor_class = _CompletionTexts

    def deconstruct(self) -> Any:
        """Return a plain JSONField, which the column is: migrations have nothing to change."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs


def current_step_display(run: WorkflowRun) -> dict[str, Any]:
    """Return everything that a front end needs to show the run; every key is always there.

    A display that has no text is ``{}``. A run that waits for its form reads ``running`` with the
    step type ``action``: it is the person's turn, so a page shows the form and no waiting screen.
    """
    ended = run.status not in (RUNNING, SUSPENDED)
    step = None if ended else _step(run)
    waits_for = run.waits_for
    at_form = waits_for is not None and waits_for.kind == WaitKind.FORM
    waiting = waits_for is not None and not at_form
    return {
        "status": str(RUNNING) if at_form else str(run.status),
        "current_step": run.current_step,
        "step_type": "action" if at_form else "waiting" if waiting else "automated",
        "progress": run.progress,
        "completion_display": _unless_empty(run.completion_display) if _ended_with_display(run) else {},
        "waiting_display": _unless_empty(run.waiting_display) if waiting else {},
        "step_display": _step_display(step) if step else {},
    }


def _unless_empty(texts: Mapping[str, str | None]) -> Texts:
    return dict(texts) if any(text is not None for text in texts.values()) else {}


def _step_display(step: StepDefinition) -> dict[str, Any]:
    """Return all that a step says of itself, or ``{}`` for a step that says nothing."""
    if step.display is None and step.title is None and step.visible and step.action is None:
        return {}
    return {
        **(step.display or StepDisplayMetadata()).as_dict(),
        "step_title": None if step.title is None else str(step.title),
        "visible": step.visible,
        "action_name": step.action.name if step.action else None,
    }


def _ended_with_display(run: WorkflowRun) -> bool:
    return run.status == COMPLETED or (run.status == FAILED and run.failure_kind == FailureKind.FAIL)


def _step(run: WorkflowRun) -> StepDefinition | None:
    definition = registry.get(run.name, run.version)
    return definition.find(run.current_step) if definition else None
