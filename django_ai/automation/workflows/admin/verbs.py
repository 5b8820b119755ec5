"""What a person may do to a run: the permission it takes, when it applies, what it asks, and how it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from ..exceptions import IllegalMove
from ..machine.commands import CLOCKS
from ..machine.statuses import FAILED, FINAL, SUSPENDED
from ..models import RETRYABLE, WorkflowRun
from ..runtime import by_hand, signalling
from ..runtime.engine import engine
from .forms import ConfirmForm, EditForm, ForceForm, ReasonForm, RestartForm, SignalForm


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One thing to do.

    Attributes:
        permission: the permission's name, as in ``has_<permission>_permission`` of the admin class.
        question: what the page asks; ``{run}`` is the run.
        applies: whether it makes sense for a run, and so whether there is a button.
        act: does it; returns the run to go to, and what Django's log says.
        many: which runs a bulk action does it to; None where there is no bulk action.
        button: whether the run's page shows a button at its top.
    """

    name: str
    label: str
    done: str
    permission: str
    question: str
    applies: Callable[[WorkflowRun], bool]
    act: Callable[[WorkflowRun, Any], tuple[WorkflowRun, str]]
    form: type[ConfirmForm] = ConfirmForm
    many: Q | None = None
    is_destructive: bool = False
    has_button: bool = True


def _retry(run: WorkflowRun, form: Any) -> tuple[WorkflowRun, str]:
    step = run.current_step
    return engine.retry(run), f"Retried from the step “{step}”."


def _force(run: WorkflowRun, form: Any) -> tuple[WorkflowRun, str]:
    step = run.current_step
    return engine.retry(run, force=True), f"Retried by force from the step “{step}”."


def _restart(run: WorkflowRun, form: Any) -> tuple[WorkflowRun, str]:
    again = engine.restart(run, form.cleaned_data["sequence"])
    return again, f"Began anew at the step “{again.current_step}” as run #{again.pk}."


def _cancel(run: WorkflowRun, form: Any) -> tuple[WorkflowRun, str]:
    reason = form.cleaned_data["reason"]
    cancelled = engine.cancel(run, reason)
    # The reason as it is kept: cleared of secrets.
    return cancelled, f"Cancelled: {cancelled.error}" if reason else "Cancelled."


def _wake(run: WorkflowRun, form: Any) -> tuple[WorkflowRun, str]:
    return engine.wake(run), "Woken before its time."


def _signal(run: WorkflowRun, form: Any) -> tuple[WorkflowRun, str]:
    name, fields = form.cleaned_data["name"], form.context_fields()
    options = {"key": form.cleaned_data["key"] or None, "only_if_waiting": form.cleaned_data["only_if_waiting"]}
    if not engine.signal(name, fields, run=run, **options):
        raise IllegalMove("Not sent: the run does not wait for this signal now, or has had one with this key.")
    return run, f"Sent the signal “{name}”{_naming(fields)}."


def _edit(run: WorkflowRun, form: Any) -> tuple[WorkflowRun, str]:
    fields = form.context_fields()
    return engine.edit(run, **fields), f"Edited the context{_naming(fields)}."


def _naming(fields: Mapping[str, Any]) -> str:
    # The names alone: Django's log is no place for what a field may hold.
    return f" ({', '.join(fields)})" if fields else ""


def _is_asleep(run: WorkflowRun) -> bool:
    return run.waits_for is not None and run.waits_for.kind in CLOCKS


def _takes_signals(run: WorkflowRun) -> bool:
    return run.status not in FINAL and signalling.names_of(run) != frozenset()


VERBS = {
    verb.name: verb
    for verb in (
        Verb(
            name="retry",
            label="Retry",
            done="retried",
            permission="retry",
            question="Run the failed step of {run} again, with all its attempts?",
            applies=lambda run: run.status == FAILED and not by_hand.against_retry(run),
            act=_retry,
            many=RETRYABLE,
        ),
        Verb(
            name="force",
            label="Retry by force…",
            done="retried by force",
            permission="retry",
            question="Repeat {run} though its end was decided? What its step wrote, and what others did because it"
            " failed, is not undone.",
            applies=lambda run: run.status == FAILED and bool(by_hand.against_retry(run)),
            act=_force,
            form=ForceForm,
            is_destructive=True,
        ),
        Verb(
            name="signal",
            label="Send signal…",
            done="signalled",
            permission="signal",
            question="Send a signal to {run}. It is kept until the run waits for it.",
            applies=_takes_signals,
            act=_signal,
            form=SignalForm,
        ),
        Verb(
            name="wake",
            label="Wake now",
            done="woken",
            permission="change",
            question="Wake {run} now, before its time?",
            applies=_is_asleep,
            act=_wake,
            many=Q(suspension__kind__in=CLOCKS),
        ),
        Verb(
            name="edit",
            label="Edit context…",
            done="edited",
            permission="change",
            question="Change the context of {run}. The run stays where it is; its history shows what was changed.",
            applies=lambda run: run.status in (SUSPENDED, FAILED),
            act=_edit,
            form=EditForm,
        ),
        Verb(
            name="restart",
            label="Start a new run from here",
            done="begun anew",
            permission="retry",
            question="Start a new run at this step, with the context as {run} had it when it got there?"
            " What the later steps did outside of the context is not undone.",
            applies=lambda run: True,
            act=_restart,
            form=RestartForm,
            has_button=False,
        ),
        Verb(
            name="cancel",
            label="Cancel…",
            done="cancelled",
            permission="cancel",
            question="Cancel {run} and the child it waits for? A step that runs right now is not interrupted, but its"
            " result is discarded.",
            applies=lambda run: run.status not in FINAL,
            act=_cancel,
            form=ReasonForm,
            many=~Q(status__in=FINAL),
            is_destructive=True,
        ),
    )
}
