"""The functions by which a step says what comes next; each returns a command, which is data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from ..exceptions import InvalidCommand
from ..machine.commands import Complete, Fail, Goto, RunSubflow, Sleep, Wait, WaitKind
from .registry import registry
from .steps import NAME_ATTRIBUTE

# What the columns of the run's tables hold.
LONGEST_NAME = 200

# A step is named by itself (self.step) or by its name.
StepReference = str | Callable[..., Any]


def goto(step: StepReference, *, progress: float | None = None) -> Goto:
    """Go on with another step.

    Args:
        step: the step, as ``self.step`` or by name.
        progress: how far the run is by then, 0 to 1 (values outside are clamped); None leaves it.
    """
    return Goto(step=_name(step, "goto()"), progress=_number(progress))


def sleep(
    delay: timedelta | float | None = None,
    *,
    until: datetime | None = None,
    then: StepReference | None = None,
    progress: float | None = None,
    display_title: str | None = None,
    display_subtitle: str | None = None,
) -> Sleep:
    """Let the run rest, holding nothing but a row.

    Args:
        delay: for how long, as a timedelta or in seconds; not negative.
        until: or until when, as an aware datetime; a moment in the past ends at once.
        then: the step that follows; by default the same step runs again.
        progress: as for ``goto``.
        display_title, display_subtitle: what ``run.waiting_display`` shows meanwhile.

    Raises:
        InvalidCommand: neither or both of delay and until, a negative delay, a naive datetime.
    """
    if (delay is None) == (until is None):
        raise InvalidCommand("sleep() takes either a delay or until=.")
    return Sleep(
        delay=None if delay is None else _duration(delay, "sleep()"),
        until=None if until is None else _moment(until, "sleep(until=)"),
        then=_optional_name(then, "sleep(then=)"),
        progress=_number(progress),
        display=_display(display_title=display_title, display_subtitle=display_subtitle),
    )


class _WaitCommand:
    """``wait(name)``: wait for a signal; see ``for_signal`` and ``for_event``."""

    def __call__(self, name: str, **options: Any) -> Wait:
        return self.for_signal(name, **options)

    def for_signal(
        self,
        name: str,
        *,
        timeout: timedelta | float | None = None,
        on_timeout: StepReference | None = None,
        then: StepReference | None = None,
        correlate: str | None = None,
        progress: float | None = None,
        display_title: str | None = None,
        display_subtitle: str | None = None,
        display_waiting_for: str | None = None,
    ) -> Wait:
        """Wait until ``engine.signal(name)`` reaches the run; its payload merges into the context.

        Args:
            name: the signal's name.
            timeout: how long at most, as a timedelta or in seconds; None waits for ever.
            on_timeout: the step to go on with then; without one the run fails.
            then: the step that follows the signal; by default the next step of the class.
            correlate: a key rendered from the context, such as ``"{order_id}"``; a signal that is
                sent with ``correlate=`` wakes only the runs that wait with that key.
            progress: as for ``goto``.
            display_title, display_subtitle, display_waiting_for: what ``run.waiting_display`` shows.

        Used as a decorator of a step, the step's body runs after the signal.
        """
        return Wait(
            kind=WaitKind.SIGNAL,
            name=_text(name, "wait.for_signal()"),
            timeout=None if timeout is None else _duration(timeout, "timeout="),
            on_timeout=_optional_name(on_timeout, "on_timeout="),
            then=_optional_name(then, "then="),
            correlate=_correlate(correlate),
            progress=_number(progress),
            display=_display(
                display_title=display_title,
                display_subtitle=display_subtitle,
                display_waiting_for=display_waiting_for,
            ),
        )

    def for_event(
        self,
        name: str,
        *,
        timeout: timedelta | float | None = None,
        on_timeout: StepReference | None = None,
        then: StepReference | None = None,
        correlate: str | None = None,
        since: timedelta | datetime | None = None,
        progress: float | None = None,
        display_title: str | None = None,
        display_subtitle: str | None = None,
        display_waiting_for: str | None = None,
    ) -> Wait:
        """Wait until the event ``name`` occurs; its fields merge into the context.

        Args:
            name: the event's name, as its EventDefinition or ``emit`` gives it.
            correlate: a key rendered from the context, such as ``"{order_id}"``: only an event with
                that key wakes the run. An event's key is its entity's primary key by default.
            since: look back: an event that occurred at most this long ago (timedelta), or since
                this moment, ends the wait at once.

        The other arguments are those of ``for_signal``. Used as a decorator of a step, the step's
        body runs after the event.
        """
        return Wait(
            kind=WaitKind.EVENT,
            name=_text(name, "wait_for_event()"),
            timeout=None if timeout is None else _duration(timeout, "timeout="),
            on_timeout=_optional_name(on_timeout, "on_timeout="),
            then=_optional_name(then, "then="),
            correlate=_correlate(correlate),
            since=_since(since),
            progress=_number(progress),
            display=_display(
                display_title=display_title,
                display_subtitle=display_subtitle,
                display_waiting_for=display_waiting_for,
            ),
        )


def form_wait(timeout: timedelta | float | None, on_timeout: StepReference | None) -> Wait:
    """Return the wait of a step that runs with a form; the step gives it its name."""
    return Wait(
        kind=WaitKind.FORM,
        name="",
        timeout=None if timeout is None else _duration(timeout, "timeout="),
        on_timeout=_optional_name(on_timeout, "on_timeout="),
    )


wait = _WaitCommand()
wait_for_event = wait.for_event


def run_subflow(
    workflow: str | type,
    /,
    *,
    on_complete: StepReference,
    timeout: timedelta | float | None = None,
    on_timeout: StepReference | None = None,
    progress: float | None = None,
    display_title: str | None = None,
    display_subtitle: str | None = None,
    **context: Any,
) -> RunSubflow:
    """Start a child run and wait for its end.

    Args:
        workflow: the child's workflow, as its class or its name.
        on_complete: the step to go on with when the child has ended, well or not; its parameter
            ``subflow_result`` receives a SubflowResult.
        timeout: how long to wait at most; the child is cancelled then.
        on_timeout: the step to go on with then; without one the run fails.
        context: what the child starts with, as for ``engine.start``.

    Raises:
        UnknownWorkflow: no such workflow.
    """
    definition = registry.find(workflow)
    return RunSubflow(
        workflow=definition.name,
        version=definition.version,
        on_complete=_name(on_complete, "run_subflow(on_complete=)"),
        context=context,
        timeout=None if timeout is None else _duration(timeout, "timeout="),
        on_timeout=_optional_name(on_timeout, "on_timeout="),
        progress=_number(progress),
        display=_display(display_title=display_title, display_subtitle=display_subtitle),
    )


def complete(*, display_title: str | None = None, display_subtitle: str | None = None, **fields: Any) -> Complete:
    """End the run successfully, at progress 1.

    Args:
        display_title, display_subtitle: what ``run.completion_display`` shows.
        fields: merge into the context; those that the Context does not declare are ignored.
    """
    display = _display(display_title=display_title, display_subtitle=display_subtitle)
    return Complete(fields=fields, display=display)


def fail(reason: str = "") -> Fail:
    """End the run as failed, without a retry; what the step wrote is kept.

    Args:
        reason: the run's ``error``.
    """
    return Fail(reason=str(reason))


def step_name(step: Callable[..., Any]) -> str | None:
    """Return the name of a step given as ``self.step``: that of its attribute, whatever its function is called."""
    name: str | None = getattr(step, NAME_ATTRIBUTE, None) or getattr(step, "__name__", None)
    return name


def _name(step: StepReference, where: str) -> str:
    name = step if isinstance(step, str) else step_name(step)
    if not name:
        raise InvalidCommand(f"{where} takes a step as self.step or by its name, not {step!r}.")
    return name


def _optional_name(step: StepReference | None, where: str) -> str | None:
    return None if step is None else _name(step, where)


def _text(name: object, where: str) -> str:
    if not isinstance(name, str) or not name:
        raise InvalidCommand(f"{where} needs a name, not {name!r}.")
    if len(name) > LONGEST_NAME:
        raise InvalidCommand(f"{where}: a name has at most {LONGEST_NAME} characters, this one has {len(name)}.")
    return name


def _correlate(template: object) -> str | None:
    if not isinstance(template, str | None):
        raise InvalidCommand(f'correlate= takes a text such as "{{order_id}}", not {template!r}.')
    return template


def _since(since: object) -> timedelta | datetime | None:
    if since is None or isinstance(since, datetime):
        return None if since is None else _moment(since, "since=")
    return _duration(since, "since=")


def _moment(value: object, where: str) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidCommand(f"{where} takes an aware datetime (see django.utils.timezone), not {value!r}.")
    return value


def _duration(value: Any, where: str) -> timedelta:
    try:
        duration = value if isinstance(value, timedelta) else timedelta(seconds=value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidCommand(f"{where} takes a timedelta or seconds, not {value!r}.") from None
    if duration < timedelta(0):
        raise InvalidCommand(f"{where} must not be negative, and is {duration}.")
    return duration


def _number(progress: float | None) -> float | None:
    if progress is None:
        return None
    try:
        return float(progress)
    except (TypeError, ValueError, OverflowError):
        raise InvalidCommand(f"progress={progress!r} is not a number from 0 to 1.") from None


def _display(**texts: str | None) -> Mapping[str, str]:
    return {key: str(text) for key, text in texts.items() if text is not None}
