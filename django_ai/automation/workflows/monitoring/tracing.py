"""OpenTelemetry: a run's steps, waits and end as spans of the trace in which it was started."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import propagate, trace
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from ...conf import settings
from ..machine.commands import CLOCKS
from ..machine.definition import WorkflowDefinition
from ..machine.redaction import told
from ..machine.statuses import FAILED
from ..models import WorkflowRun
from ..runtime import redaction
from ..runtime.hearing import ALL, NONE, Claimed, Kind, Listener, Notice

INSTRUMENTATION = "django_ai.workflows"

# Providers that record nothing: there is no SDK, or it is not set up.
_SILENT = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)

_ENDS = frozenset({Kind.RUN_COMPLETED, Kind.RUN_FAILED, Kind.RUN_CANCELLED})


def provider() -> trace.TracerProvider | None:
    """Return what the project has set up, or None."""
    found = trace.get_tracer_provider()
    return None if isinstance(found, _SILENT) else found


@lru_cache(maxsize=2)
def _tracer(of: trace.TracerProvider) -> trace.Tracer:
    return of.get_tracer(INSTRUMENTATION)


class Tracing(Listener):
    """Records spans while a tracer provider is set up; without one it costs a look at that."""

    def wants(self) -> frozenset[Kind]:
        return ALL if provider() and settings.TRACING else NONE

    def trace_context(self, definition: WorkflowDefinition) -> str:
        """Record the start and return its trace, which the run keeps for as long as it lives."""
        found = self._tracer()
        if found is None:
            return ""
        attributes = {"django_ai.workflow": definition.name, "django_ai.version": definition.version}
        carrier: dict[str, str] = {}
        with found.start_as_current_span(f"start {definition.name}", kind=SpanKind.PRODUCER, attributes=attributes):
            propagate.inject(carrier)
        return json.dumps(carrier) if carrier else ""

    def around(self, claim: Claimed) -> AbstractContextManager[object] | None:
        """Make the attempt a span, in which whatever the step calls finds its place."""
        found = self._tracer()
        return _attempt(found, claim) if found else None

    def raised(self, claim: Claimed, error: BaseException) -> None:
        """Put the exception into the attempt's span."""
        if self.wants():
            trace.get_current_span().record_exception(error)

    def discarded(self, run: WorkflowRun) -> None:
        """Mark the attempt whose result came too late."""
        if self.wants():
            trace.get_current_span().set_attribute("django_ai.discarded", True)  # noqa: FBT003 - its interface

    def hear(self, notice: Notice) -> None:
        found = self._tracer()
        if found is None:
            return
        if notice.kind is Kind.RUN_RESUMED:
            _wait(found, notice)
        elif notice.kind in _ENDS:
            _run(found, notice)

    def _tracer(self) -> trace.Tracer | None:
        found = provider()
        return _tracer(found) if found and settings.TRACING else None


@contextmanager
def _attempt(tracer: trace.Tracer, claim: Claimed) -> Iterator[None]:
    run, visit = claim.run, (claim.run.sequence, claim.run.current_step)
    # In whose span the worker took the message, such as Celery's own.
    taken_in = trace.get_current_span().get_span_context()
    token = contexts.attach(_parent(run) if run.trace_context else contexts.get_current())
    try:
        with tracer.start_as_current_span(
            f"{run.name}.{run.current_step}",
            kind=SpanKind.CONSUMER,
            attributes={
                **_about(run),
                "django_ai.step": run.current_step,
                "django_ai.attempt": run.attempt,
                "django_ai.sequence": run.sequence,
            },
            links=[Link(taken_in)] if taken_in.is_valid else [],
            record_exception=False,  # it would be recorded with the secrets of the context
            set_status_on_exception=False,
        ) as span:
            with _told(span, claim):
                yield
            _conclude(span, claim.run, visit)
    finally:
        contexts.detach(token)


@contextmanager
def _told(span: trace.Span, claim: Claimed) -> Iterator[None]:
    """Record an exception that ends the attempt, cleared of secrets."""
    try:
        yield
    except Exception as error:
        shown = told(error, redaction.redactor_of(claim.run))
        span.record_exception(shown)
        span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {shown}"))
        raise


def _conclude(span: trace.Span, run: WorkflowRun, visit: tuple[int, str]) -> None:
    """Say what became of the attempt; ``run`` is where it led to."""
    span.set_attribute("django_ai.status", str(run.status))
    failed_again = run.sequence == visit[0] and bool(run.failures)
    if run.status == FAILED or failed_again:
        span.set_status(Status(StatusCode.ERROR, run.error))


def _wait(tracer: trace.Tracer, notice: Notice) -> None:
    wait = notice.wait
    attributes = {"django_ai.step": notice.step, "django_ai.wait": str(wait.kind), "django_ai.wait.name": wait.name}
    if wait.due_at and wait.kind in CLOCKS:
        attributes["django_ai.late_seconds"] = max((notice.at - wait.due_at).total_seconds(), 0.0)
    _past(tracer, notice, f"wait {wait.kind}", attributes)


def _run(tracer: trace.Tracer, notice: Notice) -> None:
    failed = notice.kind is Kind.RUN_FAILED
    _past(
        tracer,
        notice,
        f"run {notice.run.name}",
        {"django_ai.status": str(notice.run.status), "django_ai.step": notice.step},
        Status(StatusCode.ERROR, notice.error) if failed else None,
    )


def _past(
    tracer: trace.Tracer,
    notice: Notice,
    name: str,
    attributes: Mapping[str, Any],
    status: Status | None = None,
) -> None:
    """Record a span that has begun and ended already."""
    span = tracer.start_span(
        name,
        context=_parent(notice.run),
        attributes={**_about(notice.run), **attributes},
        start_time=_nanoseconds(notice.began_at or notice.at),
    )
    if status:
        span.set_status(status)
    span.end(_nanoseconds(notice.at))


def _about(run: WorkflowRun) -> dict[str, Any]:
    return {"django_ai.workflow": run.name, "django_ai.version": run.version, "django_ai.run_id": run.pk}


def _parent(run: WorkflowRun) -> contexts.Context:
    """Return the context in which the run was started; an empty one where nobody traced that."""
    carrier = json.loads(run.trace_context) if run.trace_context else {}
    return propagate.extract(carrier, context=contexts.Context())


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000_000)
