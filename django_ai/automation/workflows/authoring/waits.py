"""The waits that a step returns, or that decorate it: for a signal, an event or a form."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, RootModel

from ...signatures import strict
from ..exceptions import InvalidCommand
from ..machine.commands import Wait, WaitKind
from ..machine.correlation import fields_of
from ..machine.payloads import Accepts, closed, is_model
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
        fields: Sequence[str] | None = None,
        payload: type[BaseModel] | None = None,
        fresh: bool = False,
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
            correlate: a key with names of context fields in braces, such as ``"{order_id}"``; a signal
                that is sent with ``correlate=`` wakes only the runs that wait with that key.
            fields: the fields of the Context that the payload has, all of them and no others. A signal
                with another payload is rejected, and its sender is told.
            payload: a pydantic model that reads the payload instead: a payload that the model does not
                take, or that has other fields, is rejected. All fields of the model, the defaults of
                those not sent included, merge into the context, which declares them too.
            fresh: take only a signal that was sent after this wait began. One that was kept for the run
                from before is marked as missed.
            progress: as for ``goto``.
            display_title, display_subtitle, display_waiting_for: what ``run.waiting_display`` shows.

        Used as a decorator of a step, the step's body runs after the signal.

        Raises:
            InvalidCommand: an argument makes no sense, such as ``fields`` beside ``payload``.
        """
        return Wait(
            kind=WaitKind.SIGNAL,
            name=as_name(name, "wait.for_signal()"),
            timeout=None if timeout is None else as_duration(timeout, "timeout="),
            on_timeout=as_optional_reference(on_timeout, "on_timeout="),
            then=as_optional_reference(then, "then="),
            correlate=_correlate(correlate),
            accepts=_accepts(fields, payload, fresh=fresh),
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
            correlate: a key with names of context fields in braces, such as ``"{order_id}"``: only an event with
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
    if template is not None:
        fields_of(template)
    return template


def _accepts(fields: object, payload: object, *, fresh: object) -> Accepts | None:
    if not isinstance(fresh, bool):
        raise InvalidCommand(f"fresh= is True or False, not {fresh!r}.")
    if payload is not None:
        if fields is not None:
            raise InvalidCommand("A wait takes either fields= or payload=: the model names the fields.")
        return Accepts.of_model(_model(payload), fresh=fresh)
    if fields is not None:
        return Accepts.of_fields(_names(fields), fresh=fresh)
    return Accepts(fresh=True) if fresh else None


def _names(fields: object) -> tuple[str, ...]:
    names = tuple(fields) if isinstance(fields, list | tuple | set | frozenset) else (None,)
    if not all(isinstance(name, str) and name for name in names):
        raise InvalidCommand(f'fields= takes a list of names of context fields, such as ["approved"], not {fields!r}.')
    return names


def _model(payload: object) -> type[BaseModel]:
    if not is_model(payload) or issubclass(payload, RootModel):
        raise InvalidCommand(f"payload= takes a pydantic model with fields, as a class, not {payload!r}.")
    if payload.model_config.get("extra") == "allow":
        raise InvalidCommand(
            f"payload={payload.__name__} has extra='allow', so it takes any field: delete that from its model_config."
        )
    try:
        closed(payload)
    except Exception as error:
        raise InvalidCommand(f"payload={payload.__name__} cannot be made to refuse unknown fields: {error}") from error
    return payload


def _since(since: object) -> timedelta | datetime | None:
    if since is None or isinstance(since, datetime):
        return None if since is None else as_moment(since, "since=")
    return as_duration(since, "since=")
