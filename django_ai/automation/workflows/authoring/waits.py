"""The waits that a step returns, or that decorate it: for a signal, an event or a form."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ...signatures import strict
from ..exceptions import InvalidCommand
from ..machine.commands import Wait, WaitKind
from .arguments import (
    StepReference,
    as_display,
    as_duration,
    as_moment,
    as_name,
    as_optional_reference,
    as_progress,
)


class _WaitCommand:
    """``wait(name)``: wait for a signal; see ``for_signal`` and ``for_event``."""

    def __call__(self, name: str, **options: Any) -> Wait:
        return self.for_signal(name, **options)

    @strict("wait.for_signal()", InvalidCommand)
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
            name=as_name(name, "wait.for_signal()"),
            timeout=None if timeout is None else as_duration(timeout, "timeout="),
            on_timeout=as_optional_reference(on_timeout, "on_timeout="),
            then=as_optional_reference(then, "then="),
            correlate=_correlate(correlate),
            progress=as_progress(progress),
            display=as_display(
                display_title=display_title,
                display_subtitle=display_subtitle,
                display_waiting_for=display_waiting_for,
            ),
        )

    @strict("wait_for_event()", InvalidCommand)
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
            name=as_name(name, "wait_for_event()"),
            timeout=None if timeout is None else as_duration(timeout, "timeout="),
            on_timeout=as_optional_reference(on_timeout, "on_timeout="),
            then=as_optional_reference(then, "then="),
            correlate=_correlate(correlate),
            since=_since(since),
            progress=as_progress(progress),
            display=as_display(
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
        timeout=None if timeout is None else as_duration(timeout, "timeout="),
        on_timeout=as_optional_reference(on_timeout, "on_timeout="),
    )


wait = _WaitCommand()
wait_for_event = wait.for_event


def _correlate(template: object) -> str | None:
    if not isinstance(template, str | None):
        raise InvalidCommand(f'correlate= takes a text such as "{{order_id}}", not {template!r}.')
    return template


def _since(since: object) -> timedelta | datetime | None:
    if since is None or isinstance(since, datetime):
        return None if since is None else as_moment(since, "since=")
    return as_duration(since, "since=")
