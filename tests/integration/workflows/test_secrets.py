"""What the engine writes and hands on about a run holds none of the secrets of its context."""

import io
import json
import logging
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import transaction
from pydantic import BaseModel, Field, SecretStr, field_validator

from django_ai.automation.events import emit, on_event
from django_ai.automation.events.models import Event
from django_ai.automation.events.subscriptions import subscriptions
from django_ai.automation.workflows.core import (
    Retry,
    complete,
    engine,
    event_workflow,
    fail,
    get_context,
    goto,
    run_subflow,
    step,
    wait,
    workflow,
)
from django_ai.automation.workflows.exceptions import ContextInvalid, FormFailed, SignalRejected
from django_ai.automation.workflows.models import EventBurst, PastWait, Signal, StepExecution, WorkflowRun
from django_ai.automation.workflows.runtime import forms
from django_ai.automation.workflows.signals import run_failed, step_failed, step_retried
from django_ai.automation.workflows.statezero_action import statezero_action

PIN = "swordfish-4711"
MARKED = {"json_schema_extra": {"sensitive": True}}


def everything():
    """Return all texts that the tables hold of what went wrong."""
    rows = [
        *WorkflowRun.objects.values_list("error", "failures"),
        *StepExecution.objects.values_list("error", "failures"),
        *PastWait.objects.values_list("visit__failures"),
        *Signal.objects.values_list("error", "payload__error"),
        *EventBurst.objects.values_list("error"),
        *Event.objects.values_list("deliveries", "note"),
    ]
    return json.dumps(rows, ensure_ascii=False)


def told(caplog):
    """Return all that the engine logged, tracebacks included."""
    return "\n".join(logging.Formatter().format(record) for record in caplog.records)


TOKEN = "token-of-this-attempt"


def raises(pin):
    raise LookupError(f"nobody has {pin}")


def raises_from_another(pin):
    try:
        {}[pin]
    except KeyError as error:
        raise LookupError("not found") from error


def quotes(pin):
    raise LookupError([json.dumps({"pin": pin})])


def validates(pin):
    class Number(BaseModel):
        number: int

    Number(number=f"{pin}{'x' * 100}")


def gives_up(pin):
    return fail(f"nobody has {pin}")


def fetches_another(pin):
    get_context().fetched = TOKEN
    raise LookupError(f"refused: {TOKEN}")


def replaces_its_context(pin):
    raise LookupError(f"refused: {TOKEN}")


def leaves_what_does_not_fit(pin):
    get_context().fetched = {"token": TOKEN}
    return complete()


def adds_a_note(pin):
    error = LookupError("refused")
    error.add_note(f"with {pin}")
    raise error


def leaves_a_hook(pin):
    transaction.on_commit(lambda: raises(pin))
    return complete()


WAYS = {
    each.__name__: each
    for each in (
        *(raises, raises_from_another, quotes, validates, gives_up, fetches_another, replaces_its_context),
        *(leaves_what_does_not_fit, adds_a_note, leaves_a_hook),
    )
}


@pytest.fixture
def careless():
    """A workflow whose step tells its secrets, in the way that a run's context names."""

    @workflow("careless", default_retry=Retry(max_attempts=2, base_delay=timedelta(seconds=1)))
    class Careless:
        class Context(BaseModel):
            pin: SecretStr = SecretStr(PIN)
            fetched: str = Field("", **MARKED)
            how: str = "raises"

        @step(start=True)
        def only(self):
            if self.context.how == "replaces_its_context":
                self.context = self.context.model_copy(update={"fetched": TOKEN})
            return WAYS[get_context().how](get_context().pin.get_secret_value())

    return Careless


@pytest.mark.parametrize("how", WAYS)
def test_no_row_log_line_or_signal_tells_a_secret(careless, workflows, caplog, how):
    caplog.set_level(logging.DEBUG)
    heard = []

    def hear(signal, error="", **kwargs):
        heard.append(error)

    for signal in (run_failed, step_failed, step_retried):
        signal.connect(hear)
    run = engine.start("careless", how=how)
    workflows.advance(timedelta(hours=1))
    for signal in (run_failed, step_failed, step_retried):
        signal.disconnect(hear)
    run.refresh_from_db()
    assert run.status == ("completed" if how == "leaves_a_hook" else "failed")
    for text in (everything(), told(caplog), str(heard)):
        assert PIN not in text
        assert TOKEN not in text
    if how != "leaves_what_does_not_fit":
        assert "••••••••" in told(caplog)


def test_what_is_no_secret_stays_in_an_error(workflows):
    @workflow("candid")
    class Candid:
        class Context(BaseModel):
            order: str = "order-4711"
            pin: SecretStr = SecretStr(PIN)

        @step(start=True, retry=Retry(max_attempts=1))
        def only(self):
            raise LookupError(f"no {get_context().order}")

    run = engine.start("candid")
    workflows.drain()
    run.refresh_from_db()
    assert run.error == "LookupError: no order-4711"
    assert "in only" in StepExecution.objects.get().failures[0]["traceback"]


def test_a_reason_to_cancel_is_cleared(workflows, careless):
    run = engine.start("careless")
    engine.cancel(run, f"the PIN {PIN} is out")
    run.refresh_from_db()
    assert run.error == "the PIN •••••••• is out"


@pytest.fixture
def family(careless, workflows):
    @workflow("family", default_retry=Retry(max_attempts=1))
    class Family:
        class Context(BaseModel):
            tells: str = "error"

        @step(start=True)
        def launch(self):
            return run_subflow("careless", context={"how": "raises"}, on_complete=self.after)

        @step()
        def after(self, subflow_result):
            if get_context().tells == "error":
                return fail(f"the child failed: {subflow_result.error}")
            raise LookupError(subflow_result.context.pin.get_secret_value())

    def run(tells):
        parent = engine.start("family", tells=tells)
        workflows.advance(timedelta(hours=1))
        parent.refresh_from_db()
        return parent

    return run


@pytest.mark.parametrize("tells", ["error", "context"])
def test_a_childs_secret_is_not_told_by_its_parent(family, tells):
    parent = family(tells)
    assert parent.status == "failed"
    assert PIN not in everything()
    for options in ([], ["--json"], ["--traceback-of-steps"]):
        out = io.StringIO()
        call_command("workflows", "show", str(parent.pk), *options, stdout=out)
        assert PIN not in out.getvalue()


@pytest.fixture
def choosy(workflows):
    def digits(value):
        if value and not value.isdigit():
            raise ValueError(f"{value!r} is not made of digits")
        return value

    class Decision(BaseModel):
        pin: SecretStr
        approved: bool

        @field_validator("pin")
        @classmethod
        def _digits(cls, value):
            digits(value.get_secret_value())
            return value

    @workflow("choosy")
    class Choosy:
        class Context(BaseModel):
            pin: str = Field("", **MARKED)
            approved: bool = False

            @field_validator("pin")
            @classmethod
            def _digits(cls, value):
                return digits(value)

        @step(start=True)
        def only(self):
            return wait.for_signal("pin", then=self.decide)

        @step()
        def decide(self):
            return wait.for_signal("decision", payload=Decision, then=self.end)

        @step()
        def end(self):
            return complete()

    return Choosy


def test_a_signal_that_does_not_fit_is_refused_without_its_secret(choosy, workflows):
    run = engine.start("choosy")
    workflows.drain()
    with pytest.raises(SignalRejected, match="digits") as caught:
        engine.signal("pin", {"pin": PIN}, run=run)
    assert PIN not in str(caught.value)
    engine.signal("pin", {"pin": "4711"}, run=run)
    workflows.drain()
    with pytest.raises(SignalRejected, match="digits") as caught:
        engine.signal("decision", {"pin": PIN, "approved": True}, run=run)
    assert PIN not in str(caught.value)


@pytest.mark.parametrize(("name", "payload"), [("pin", {"pin": PIN}), ("decision", {"pin": PIN, "approved": True})])
def test_a_signal_that_is_rejected_later_keeps_no_secret_in_its_error(choosy, workflows, caplog, name, payload):
    run = engine.start("choosy")
    workflows.drain()
    if name == "decision":
        engine.signal("pin", {"pin": "4711"}, run=run)
        workflows.drain()
    sent = {"created_at": run.created_at, "dispatched_at": run.created_at}
    message = Signal.objects.create(run=run, kind="signal", name=name, payload=payload, **sent)
    workflows.drain()
    message.refresh_from_db()
    assert message.state == "rejected"
    assert "digits" in message.error
    assert PIN not in message.error + told(caplog)


def test_a_start_that_does_not_fit_is_refused_without_its_secret(choosy):
    with pytest.raises(ContextInvalid, match="digits") as caught:
        engine.start("choosy", pin=PIN)
    assert PIN not in str(caught.value)
    assert caught.value.__suppress_context__
    assert [field for field, _ in caught.value.faults] == ["pin"]


def test_an_edit_that_does_not_fit_is_refused_without_its_secret(choosy, workflows):
    run = engine.start("choosy")
    workflows.drain()
    with pytest.raises(ContextInvalid, match="digits") as caught:
        engine.edit(run, pin=PIN)
    assert PIN not in str(caught.value)


def test_a_form_that_fails_tells_no_secret(workflows, caplog):
    @workflow("locked")
    class Locked:
        class Context(BaseModel):
            pin: SecretStr = SecretStr(PIN)
            answer: SecretStr = SecretStr("")

        @statezero_action(name="unlock")
        @step(start=True)
        def unlock(self, answer: str, place: str):
            raise LookupError(f"{answer} at {place} is not {get_context().pin.get_secret_value()}")

    run = engine.start("locked")
    workflows.drain()
    with pytest.raises(FormFailed) as caught:
        forms.submit(run.pk, forms.Post("unlock", {"answer": "guess-0815", "place": "door"}), lambda run: None)
    for text in (str(caught.value), everything(), told(caplog)):
        assert PIN not in text
        assert "guess-0815" not in text
    assert "at door is not" in str(caught.value)


@pytest.fixture
def forget_subscriptions():
    known = {item.key for item in subscriptions}
    yield
    for key in {item.key for item in subscriptions} - known:
        subscriptions.remove(key)


def test_the_error_of_an_events_handler_tells_no_secret_that_a_context_declares(
    careless, forget_subscriptions, workflows
):
    @on_event("card_read")
    def handle(event):
        raise LookupError(f"no card {event.data['pin']} for {event.data['name']}")

    emit("card_read", data={"pin": PIN, "name": "Ada"})
    workflows.drain()
    errors = [delivery["error"] for delivery in Event.objects.get().deliveries.values() if "error" in delivery]
    assert errors == ["LookupError: no card •••••••• for Ada"]


def test_a_burst_of_events_that_starts_nothing_tells_no_secret(forget_subscriptions, workflows):
    @event_workflow("card_lost", debounce=timedelta(seconds=1))
    class Lost:
        class Context(BaseModel):
            pin: SecretStr = SecretStr("")

        @classmethod
        def create_context(cls, event):
            raise LookupError(f"no card {event.data['pin']}")

        @step(start=True)
        def only(self):
            return complete()

    emit("card_lost", data={"pin": PIN})
    workflows.advance(timedelta(seconds=5))
    assert EventBurst.objects.get().error == "LookupError: no card ••••••••"


def test_a_secret_of_any_value_is_kept_and_masked(workflows):
    @workflow("keeper")
    class Keeper:
        class Context(BaseModel):
            pin: SecretStr = SecretStr(PIN)

        @step(start=True)
        def only(self):
            assert get_context().pin.get_secret_value() == PIN
            return goto(self.end)

        @step()
        def end(self):
            return complete()

    run = engine.start("keeper")
    workflows.drain()
    run.refresh_from_db()
    assert (run.status, run.data) == ("completed", {"pin": PIN})


def test_a_step_that_succeeds_looks_for_no_secrets(monkeypatch, careless, workflows):
    from django_ai.automation.workflows.runtime import redaction

    @workflow("fine")
    class Fine:
        class Context(BaseModel):
            pin: SecretStr = SecretStr(PIN)

        @step(start=True)
        def only(self):
            return complete()

    monkeypatch.setattr(redaction, "redactor_of", None)
    run = engine.start("fine")
    workflows.drain()
    run.refresh_from_db()
    assert run.status == "completed"
