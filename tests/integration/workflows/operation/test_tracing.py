"""OpenTelemetry: one trace from the request that starts a run through every step to its end."""

import json
from datetime import timedelta

import pytest
from pydantic import BaseModel, SecretStr

from django_ai.automation.workflows.core import Retry, complete, engine, run_subflow, step, workflow
from django_ai.automation.workflows.exceptions import FormFailed
from django_ai.automation.workflows.models import WorkflowRun
from django_ai.automation.workflows.runtime import forms, worker
from django_ai.automation.workflows.statezero_action import statezero_action

from ..declared import declare_inquiry, reloaded

trace = pytest.importorskip("opentelemetry.trace")
sdk = pytest.importorskip("opentelemetry.sdk.trace")
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF  # noqa: E402

from django_ai.automation.workflows.monitoring import tracing  # noqa: E402

pytestmark = pytest.mark.django_db(transaction=True)


def make_provider(exporter, **options):
    provider = sdk.TracerProvider(**options)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter, monkeypatch):
    """What a project sets up, for this test alone: OpenTelemetry's global one cannot be taken back."""
    provider = make_provider(exporter)
    monkeypatch.setattr(tracing, "provider", lambda: provider)
    return provider


def finished(exporter):
    return {span.name: span for span in exporter.get_finished_spans()}


def parent_of(spans, span):
    by_id = {other.context.span_id: name for name, other in spans.items()}
    return by_id.get(span.parent.span_id) if span.parent else None


def test_a_run_is_one_trace_from_the_request_to_the_end(workflows, journey, exporter, provider):
    with provider.get_tracer("web").start_as_current_span("POST /orders"):
        run = engine.start(journey, stumbles=0)
    workflows.advance(timedelta(seconds=3))
    engine.signal("morning", run=run)
    workflows.drain()
    spans = finished(exporter)
    assert set(spans) == {
        "POST /orders", "start journey", "journey.leave", "wait timer", "journey.rest", "wait signal",
        "journey.arrive", "journey.unpack", "run journey",
    }  # fmt: skip
    assert len({span.context.trace_id for span in spans.values()}) == 1
    assert parent_of(spans, spans["start journey"]) == "POST /orders"
    inside = set(spans) - {"POST /orders", "start journey"}
    assert {parent_of(spans, spans[name]) for name in inside} == {"start journey"}


def test_a_step_says_what_it_is_and_what_became_of_it(workflows, journey, exporter, provider):
    run = engine.start(journey, stumbles=0)
    workflows.drain()
    span = finished(exporter)["journey.leave"]
    assert dict(span.attributes) == {
        "django_ai.workflow": "journey",
        "django_ai.version": "1",
        "django_ai.run_id": run.pk,
        "django_ai.step": "leave",
        "django_ai.attempt": 1,
        "django_ai.sequence": 1,
        "django_ai.status": "suspended",
    }
    assert (span.kind, span.status.status_code) == (trace.SpanKind.CONSUMER, trace.StatusCode.UNSET)


def test_a_failed_attempt_carries_its_exception_and_the_next_one_is_another_span(
    workflows, journey, exporter, provider
):
    engine.start(journey)
    workflows.advance(timedelta(seconds=1))
    first, second = [span for span in exporter.get_finished_spans() if span.name == "journey.leave"]
    assert (first.status.status_code, first.status.description) == (trace.StatusCode.ERROR, "OSError: no road")
    [event] = first.events
    assert (event.attributes["exception.type"], event.attributes["exception.message"]) == ("OSError", "no road")
    assert "in leave" in event.attributes["exception.stacktrace"]
    assert [span.attributes["django_ai.attempt"] for span in (first, second)] == [1, 2]
    assert (second.status.status_code, second.events) == (trace.StatusCode.UNSET, ())


def test_a_run_that_fails_is_an_error_as_a_whole(workflows, journey, exporter, provider):
    engine.start(journey, stumbles=2)
    workflows.advance(timedelta(seconds=3))
    whole = finished(exporter)["run journey"]
    assert (whole.status.status_code, whole.status.description) == (trace.StatusCode.ERROR, "OSError: no road")
    assert whole.attributes["django_ai.status"] == "failed"


def test_waits_and_runs_last_as_long_as_they_lasted(workflows, exporter, provider):
    run = engine.start(declare_inquiry())
    workflows.drain()
    workflows.advance(timedelta(hours=2))
    engine.signal("answer", run=run)
    workflows.drain()
    spans = finished(exporter)
    for name in ("wait signal", "run inquiry"):
        lasted = (spans[name].end_time - spans[name].start_time) / 1_000_000_000
        assert lasted == pytest.approx(7200, abs=1)
    assert spans["wait signal"].attributes["django_ai.wait.name"] == "answer"


def test_what_a_step_calls_is_inside_its_span(workflows, exporter, provider):
    @workflow("calling")
    class Calling:
        @step(start=True)
        def begin(self):
            with provider.get_tracer("http").start_as_current_span("GET /stock"):
                return complete()

    engine.start(Calling)
    workflows.drain()
    spans = finished(exporter)
    assert parent_of(spans, spans["GET /stock"]) == "calling.begin"


def test_a_child_belongs_to_the_step_that_started_it(workflows, exporter, provider):
    @workflow("child")
    class Child:
        @step(start=True)
        def work(self):
            return complete()

    @workflow("parent")
    class Parent:
        @step(start=True)
        def begin(self):
            return run_subflow(Child, on_complete=self.end)

        @step()
        def end(self):
            return complete()

    engine.start(Parent)
    workflows.drain()
    spans = finished(exporter)
    assert parent_of(spans, spans["start child"]) == "parent.begin"
    assert parent_of(spans, spans["child.work"]) == "start child"
    assert parent_of(spans, spans["parent.end"]) == "start parent"
    assert len({span.context.trace_id for span in spans.values()}) == 1


def test_a_step_is_linked_to_the_task_that_ran_it(exporter, provider):
    run = engine.start(declare_inquiry())
    with provider.get_tracer("celery").start_as_current_span("run/execute") as task:
        worker.execute(run.pk, run.sequence, run.attempt)
    span = finished(exporter)["inquiry.ask"]
    assert [link.context.span_id for link in span.links] == [task.get_span_context().span_id]
    assert span.context.trace_id != task.get_span_context().trace_id


def test_the_trace_is_in_the_row_and_outlives_every_process(exporter, provider):
    run = engine.start(declare_inquiry())
    kept = json.loads(reloaded(run).trace_context)
    start = finished(exporter)["start inquiry"]
    assert kept["traceparent"].split("-")[1] == format(start.context.trace_id, "032x")


def test_what_is_not_sampled_at_the_start_is_not_sampled_later(workflows, exporter, monkeypatch):
    provider = make_provider(exporter, sampler=ALWAYS_OFF)
    monkeypatch.setattr(tracing, "provider", lambda: provider)
    run = engine.start(declare_inquiry())
    later = make_provider(exporter)  # its default follows the parent's decision
    monkeypatch.setattr(tracing, "provider", lambda: later)
    workflows.drain()
    assert reloaded(run).trace_context
    assert exporter.get_finished_spans() == ()


def test_a_run_from_before_the_tracing_is_traced_from_where_it_is(workflows, exporter, provider):
    run = engine.start(declare_inquiry())
    WorkflowRun.objects.filter(pk=run.pk).update(trace_context="")
    workflows.drain()
    span = finished(exporter)["inquiry.ask"]
    assert span.parent is None


def test_a_result_that_came_too_late_is_marked(exporter, provider):
    @workflow("overtaken")
    class Overtaken:
        @step(start=True)
        def begin(self):
            WorkflowRun.objects.update(sequence=7)
            return complete()

    run = engine.start(Overtaken)
    worker.execute(run.pk, run.sequence, run.attempt)
    assert finished(exporter)["overtaken.begin"].attributes["django_ai.discarded"] is True


@pytest.mark.parametrize("switched_off", [True, False])
def test_without_a_provider_or_switched_off_nothing_is_kept_or_recorded(
    workflows, exporter, monkeypatch, settings, switched_off
):
    if switched_off:
        settings.DJANGO_AI = {"TRACING": False}
        monkeypatch.setattr(tracing, "provider", lambda: make_provider(exporter))
    run = engine.start(declare_inquiry())
    workflows.drain()
    assert reloaded(run).trace_context == ""
    assert exporter.get_finished_spans() == ()
    assert not tracing.Tracing().wants()


def test_a_broken_exporter_hurts_no_run(workflows, provider, monkeypatch, caplog):
    def broken(*_, **__):
        raise RuntimeError("the tracer is broken")

    monkeypatch.setattr(tracing, "_parent", broken)
    run = engine.start(declare_inquiry())
    workflows.drain()
    engine.signal("answer", run=run)
    workflows.drain()
    assert reloaded(run).status == "completed"
    assert "the tracer is broken" in caplog.text


@pytest.mark.parametrize("as_form", [False, True])
def test_no_span_tells_a_secret_of_the_context(workflows, exporter, provider, as_form):
    pin = "swordfish-4711"
    decorate = statezero_action(name="tell") if as_form else lambda function: function

    @workflow("telling", default_retry=Retry(max_attempts=2, base_delay=timedelta(seconds=1)))
    class Telling:
        class Context(BaseModel):
            code: SecretStr = SecretStr(pin)

        @decorate
        @step(start=True)
        def only(self):
            raise LookupError(f"nobody has {self.context.code.get_secret_value()}")

    run = engine.start(Telling)
    workflows.advance(timedelta(minutes=1))
    if as_form:
        with pytest.raises(FormFailed):
            forms.submit(run.pk, forms.Post("tell", {}), lambda run: None)
    spans = exporter.get_finished_spans()
    told = [span.to_json() for span in spans]
    assert any("LookupError" in text for text in told)
    assert not any(pin in text for text in told)
    assert any(event.name == "exception" for span in spans for event in span.events)
