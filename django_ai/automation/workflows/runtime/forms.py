"""A form's submit, done in the request: claim the run, call the step, settle what it gave."""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from pydantic import BaseModel

from ... import clock
from .. import logs
from ..exceptions import FormFailed, FormNotOpen, StaleClaim, describe, kept, traceback_of
from ..machine import context as contexts
from ..machine.commands import WaitKind
from ..machine.decide import decide
from ..machine.definition import StepDefinition, WorkflowDefinition
from ..machine.happenings import Returned
from ..machine.redaction import Redactor, told
from ..machine.state import Failure
from ..machine.statuses import SUSPENDED
from ..models import WorkflowRun
from . import call, commit, heartbeat, notices, redaction, rows

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# Anybody may post a form that fails again and again: the row must not grow for ever.
MOST_FAILURES = 10


@dataclass(slots=True)
class Post:
    """A form on its way in.

    Attributes:
        action: the name of the action that it was posted to.
        arguments: the form's values, of which the step's function receives those that it takes.
        offered: what it receives where it names it, but never in its ``**kwargs``.
        expected: exceptions that speak to the person who posted; any other is a fault of the code.
        form: the action that the sender was authorised for; no other step takes the post, even one whose
            action has the same name.
    """

    action: str
    arguments: Mapping[str, Any]
    offered: Mapping[str, Any] = field(default_factory=dict)
    expected: tuple[type[Exception], ...] = ()
    form: Any = None


@dataclass(slots=True)
class Claim:
    """A run whose form this request alone may answer.

    Attributes:
        run, held: the row as the claim left it, and the query for it while it is still there.
        before: what the claim changed, as it was.
        context: the context that the step got.
    """

    run: WorkflowRun
    definition: WorkflowDefinition
    step: StepDefinition
    watch: clock.Stopwatch
    held: QuerySet[WorkflowRun]
    before: Mapping[str, Any]
    context: BaseModel | None = None

    def release(self, **columns: Any) -> None:
        """Leave the run waiting for the form, as if nobody had posted it."""
        rows.despite_deadlocks(lambda: self.held.update(lease_until=None, **columns))


def submit(run_id: int, post: Post, answer: Callable[[WorkflowRun], Answer]) -> Answer:
    """Run the step that waits for this form, move the run, and return what ``answer`` makes of it.

    All that the step wrote, the move and ``answer`` commit together or not at all. The claim comes
    first and commits alone, so that of many simultaneous posts only one runs the step's code; it is
    a lease, so that a process that dies with it does not close the form for good.

    Raises:
        WorkflowRun.DoesNotExist: no such run.
        FormNotOpen: the run is elsewhere, or somebody else's post of this form is being done.
        FormFailed: the step raised something else than ``post.expected``, or cannot be obeyed.
    """
    claim = rows.despite_deadlocks(lambda: _claim(run_id, post))
    try:
        with heartbeat.keeping(claim.run), notices.attempt(claim):
            return _perform(claim, post, answer)
    except StaleClaim:
        raise elsewhere(_read(run_id)[0]) from None
    except post.expected:
        claim.release(**claim.before)
        raise
    except Exception as ended:
        error = call.reason(ended)
        clear = redaction.redactor_of(claim.run, claim.context, post.arguments)
        claim.release(failures=_failures(claim, error, clear))
        shown, text = told(error, clear), "The form %s of %s failed."
        logger.exception(text, post.action, claim.run, extra=logs.about(claim.run), exc_info=shown)
        notices.raised(claim, shown)
        raise FormFailed(_broken(claim, clear(describe(error)))) from shown
    except BaseException:
        claim.release(**claim.before)
        raise


def _claim(run_id: int, post: Post) -> Claim:
    while True:  # each miss is somebody else's move, so this ends
        run, watch = _read(run_id)
        definition, step = _open_step(run, post, watch.now())
        # Whoever had the lease that has run out may still come: its fence must not return.
        restored = ("visit_started_at", "failures") if run.lease_until else ("attempt", "visit_started_at", "failures")
        before = {name: getattr(run, name) for name in restored}
        columns = {
            "attempt": run.attempt + 1,
            "lease_until": watch.now() + rows.lease(),
            "visit_started_at": run.visit_started_at or watch.now(),
        }
        unchanged = _fenced(run).filter(lease_until=run.lease_until)
        if unchanged.update(**columns):
            for name, value in columns.items():
                setattr(run, name, value)
            return Claim(run, definition, step, watch, held=_fenced(run), before=before)


def _read(run_id: int) -> tuple[WorkflowRun, clock.Stopwatch]:
    runs = WorkflowRun.objects.using(rows.alias()).select_related("suspension")
    run = runs.annotate(db_now=clock.now()).get(pk=run_id)
    return run, rows.stopwatch(run)


def _fenced(run: WorkflowRun) -> QuerySet[WorkflowRun]:
    runs = WorkflowRun.objects.using(rows.alias())
    return runs.filter(pk=run.pk, status=SUSPENDED, sequence=run.sequence, attempt=run.attempt)


def _open_step(run: WorkflowRun, post: Post, now: datetime) -> tuple[WorkflowDefinition, StepDefinition]:
    definition, step = form_of(run)
    if definition is None or step is None or step.action.name != post.action:
        raise elsewhere(run)
    if post.form is not None and step.action is not post.form:
        raise elsewhere(run)
    if run.lease_until is not None and run.lease_until > now:
        raise FormNotOpen(
            _("Somebody's post of this form is being done right now: run #%(run)s is at step %(step)r.")
            % {"run": run.pk, "step": run.current_step}
        )
    return definition, step


def form_of(run: WorkflowRun) -> tuple[WorkflowDefinition | None, StepDefinition | None]:
    """Return the workflow and the step whose form the run waits for, or None where it waits for none."""
    definition = rows.definition_of(run)
    if definition is None or run.waits_for is None or run.waits_for.kind != WaitKind.FORM:
        return None, None
    step = definition.find(run.current_step)
    return (definition, step) if step and step.action is not None else (None, None)


def elsewhere(run: WorkflowRun) -> FormNotOpen:
    """Return the error that says where a run is that does not wait for the posted form."""
    wait = run.waits_for
    waits_for = f", waiting for a {wait.kind}" if wait else ""
    return FormNotOpen(
        _("This form is not open: run #%(run)s of %(workflow)r is %(status)s at step %(step)r%(waits_for)s.")
        % {
            "run": run.pk,
            "workflow": run.name,
            "status": run.status,
            "step": run.current_step,
            "waits_for": waits_for,
        }
    )


def _perform(claim: Claim, post: Post, answer: Callable[[WorkflowRun], Answer]) -> Answer:
    if claim.step.atomic:
        return rows.despite_deadlocks(lambda: _call_and_settle(claim, post, answer))
    returned = _call(claim, post)  # what it did outside of the database is not done again
    return rows.despite_deadlocks(lambda: _settle(claim, returned, answer))


def _call_and_settle(claim: Claim, post: Post, answer: Callable[[WorkflowRun], Answer]) -> Answer:
    with rows.transaction_of_runs():
        return _settle(claim, _call(claim, post), answer)


def _call(claim: Claim, post: Post) -> Returned:
    claim.context = contexts.load(claim.definition.context_class, claim.run.data)
    arguments = _fitting(claim.step, post)
    return call.call(claim.definition, claim.step, claim.run, claim, **arguments)


def _settle(claim: Claim, returned: Returned, answer: Callable[[WorkflowRun], Answer]) -> Answer:
    run = copy.copy(claim.run)  # a transaction that is tried again begins where the claim left the run
    with rows.transaction_of_runs():
        state = rows.snapshot(run, claim.definition, context=returned.context)
        commit.commit(run, decide(claim.definition, state, returned, claim.watch.now()), claim.watch.now())
        return answer(run)


def _fitting(step: StepDefinition, post: Post) -> dict[str, Any]:
    parameters = inspect.signature(step.function).parameters.values()
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    given = {name: value for name, value in post.arguments.items() if takes_any or name in step.parameters}
    return given | {name: value for name, value in post.offered.items() if name in step.parameters}


def _failures(claim: Claim, error: BaseException, clear: Redactor) -> list[dict[str, Any]]:
    failure = Failure(
        attempt=claim.run.attempt,
        error=clear(describe(error)),
        traceback=clear(kept(traceback_of(error))),
        at=claim.watch.now(),
    )
    return [*claim.before["failures"], rows.failure_data(failure)][-MOST_FAILURES:]


def _broken(claim: Claim, reason: str) -> str:
    return (
        f"Step {claim.step.name!r} of run #{claim.run.pk} failed, nothing was saved and the form"
        f" may be sent again: {reason}"
    )
