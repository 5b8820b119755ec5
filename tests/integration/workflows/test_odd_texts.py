"""Texts that PostgreSQL refuses are escaped or refused with a word on them, on every database alike."""

import pytest
from pydantic import BaseModel

from django_ai.automation.events import emit
from django_ai.automation.workflows.core import (
    complete,
    engine,
    fail,
    get_context,
    run_subflow,
    sleep,
    step,
    wait,
    workflow,
)
from django_ai.automation.workflows.exceptions import (
    ContextInvalid,
    DeclarationError,
    InvalidCommand,
    InvalidOption,
    SignalRejected,
)
from django_ai.automation.workflows.models import WorkflowRun
from django_ai.automation.workflows.statezero_action import statezero_action

pytestmark = pytest.mark.django_db(transaction=True)

ODD = ["x\0y", "x\udc00y"]


@pytest.fixture
def once(workflows):
    """Run a workflow whose only step calls a function, and return the run."""

    def run(call, name="odd_once"):
        @workflow(name)
        class Once:
            @step(start=True)
            def only(self):
                return call()

        run = engine.start(name)
        workflows.drain()
        run.refresh_from_db()
        return run

    return run


@pytest.mark.parametrize("text", ODD)
def test_the_reason_of_a_failure_is_kept_and_logged(once, text, caplog):
    run = once(lambda: fail(text, display_title=text))
    assert (run.status, run.error[0], run.attempt) == ("failed", "x", 1)
    assert caplog.messages[-1].encode().endswith(run.error.encode())
    assert run.completion_display["display_title"].startswith("x\\")
    assert run.step_executions.get().error == run.error


@pytest.mark.parametrize("text", ODD)
def test_the_texts_of_an_end_and_of_a_wait_are_kept(once, text):
    assert once(lambda: complete(display_title=text)).completion_display["display_title"].startswith("x\\")
    run = once(lambda: sleep(60, display_subtitle=text), "odd_sleep")
    assert run.waiting_display["display_subtitle"].startswith("x\\")


@pytest.mark.parametrize("text", ODD)
def test_an_error_and_its_traceback_are_kept(once, text):
    def call():
        raise ValueError(text)

    run = once(call)
    assert run.failures[0]["error"].startswith("ValueError: x\\")


@pytest.mark.parametrize("text", ODD)
def test_a_child_tells_its_parent_why_it_failed(workflows, text):
    results = []

    @workflow("odd_child")
    class Child:
        @step(start=True)
        def only(self):
            return fail(text)

    @workflow("odd_parent")
    class Parent:
        @step(start=True)
        def begin(self):
            return run_subflow(Child, on_complete=self.after)

        @step()
        def after(self, subflow_result):
            results.append(subflow_result.error)
            return complete()

    engine.start(Parent)
    workflows.drain()
    assert results[0].startswith("x\\")


class Words(BaseModel):
    words: str = ""


@pytest.fixture
def waiting(workflows):
    @workflow("odd_waits")
    class Waits:
        Context = Words

        @step(start=True)
        def ask(self):
            return wait.for_signal("answer", then=self.end)

        @step()
        def end(self):
            return complete()

    run = engine.start(Waits)
    workflows.drain()
    return run


@pytest.mark.parametrize("text", ODD)
def test_a_context_a_signal_and_an_edit_are_refused_and_the_field_is_named(waiting, text):
    with pytest.raises(ContextInvalid, match="words"):
        engine.start("odd_waits", words=text)
    with pytest.raises(SignalRejected, match="words"):
        engine.signal("answer", {"words": text}, run=waiting)
    with pytest.raises(ContextInvalid, match="words"):
        engine.edit(waiting, words=text)


@pytest.mark.parametrize("text", ODD)
def test_a_payload_of_a_workflow_that_is_not_known_here_is_refused(waiting, text):
    WorkflowRun.objects.filter(pk=waiting.pk).update(name="elsewhere")
    with pytest.raises(SignalRejected, match="words"):
        engine.signal("answer", {"words": text}, run=waiting.pk)


@pytest.mark.parametrize("text", ODD)
def test_a_field_that_nobody_declares_does_no_harm(workflows, waiting, text):
    engine.signal("answer", {"other": {"x\0": [text, float("nan")]}}, run=waiting)
    workflows.drain()
    waiting.refresh_from_db()
    assert waiting.status == "completed"


@pytest.mark.parametrize("text", ODD)
def test_keys_tags_and_names_are_refused(waiting, text):
    for options in ({"idempotency_key": text}, {"tags": [text]}):
        with pytest.raises(InvalidOption, match="must not be a text"):
            engine.using(**options)
    with pytest.raises(InvalidOption, match="must not be a text"):
        engine.signal(text)
    with pytest.raises(InvalidOption, match="must not be a text"):
        engine.signal("answer", correlate=text)
    with pytest.raises(InvalidCommand, match="must not be a text"):
        wait.for_signal(text)
    with pytest.raises(DeclarationError):
        workflow(text)(type("Named", (), {}))


@pytest.mark.parametrize("text", ODD)
def test_an_event_with_such_a_text_is_refused(text):
    with pytest.raises(ValueError, match="must not be a text"):
        emit(text)
    with pytest.raises(ValueError, match="must not be a text"):
        emit("odd_event", correlate=text)
    with pytest.raises(TypeError, match=r"a\.0: a text"):
        emit("odd_event", data={"a": [text]})
    with pytest.raises(TypeError, match="b: the number nan"):
        emit("odd_event", data={"b": float("nan")})


@pytest.mark.parametrize("text", ODD)
def test_a_run_is_cancelled_for_the_reason_that_is_given(waiting, text):
    assert engine.cancel(waiting, text).error.startswith("x\\")


@pytest.mark.parametrize("text", ODD)
def test_a_form_whose_step_raises_such_a_text_may_be_sent_again(workflows, client, text):
    calls = []

    @workflow("odd_form")
    class OddForm:
        Context = Words

        @statezero_action(name="odd_form_action", permissions=[])
        @step(start=True)
        def ask(self, words: str):
            calls.append(words)
            if len(calls) == 1:
                raise ValueError(text)
            get_context().words = words
            return complete()

    run = engine.start(OddForm)
    workflows.drain()
    client.raise_request_exception = False
    answers = [
        client.post("/forms/actions/odd_form_action/", {"workflow_run_id": run.pk, "words": "a"}).status_code
        for _ in range(2)
    ]
    run.refresh_from_db()
    assert (answers, run.status, run.data) == ([500, 200], "completed", {"words": "a"})
