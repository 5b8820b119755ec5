"""The pages of the admin show no secret, also not of a child, of an event, or of rows that earlier versions wrote."""

import json
from html import unescape

import pytest
from django.contrib.admin.models import LogEntry
from pydantic import BaseModel, Field, SecretStr

from django_ai.automation.events import emit
from django_ai.automation.workflows.core import complete, engine, run_subflow, step, wait, workflow
from django_ai.automation.workflows.models import Signal, StepExecution, WorkflowRun

from .conftest import LIST, doing, page

PIN = "swordfish-4711"


class Card(BaseModel):
    holder: str = "Ada"
    pin: SecretStr = SecretStr(PIN)


@pytest.fixture
def purse(workflows):
    """A run that waits, with secrets in nested models."""

    @workflow("purse")
    class Purse:
        class Context(BaseModel):
            card: Card = Card()
            cards: list[Card] = [
                Card(holder="Bob", pin=SecretStr("2222-bob")),
                Card(holder="Eve", pin=SecretStr("3333-eve")),
            ]
            codes: list[SecretStr] = Field([SecretStr("4444-one")], json_schema_extra={"sensitive": True})
            limit: int = 10

        @step(start=True)
        def only(self):
            return wait.for_signal("go", then=self.end)

        @step()
        def end(self):
            return complete()

    run = engine.start("purse")
    workflows.drain()
    return run


def body(client, address):
    return unescape(client.get(address, follow=True).content.decode())


def stored(run):
    return WorkflowRun.objects.get(pk=run.pk).data


def edit(client, run, **fields):
    return client.post(doing(run, "edit"), {f"context_{name}": value for name, value in fields.items()})


def test_the_edit_dialog_shows_nested_secrets_masked(chief, purse):
    text = body(chief, doing(purse, "edit"))
    assert all(secret not in text for secret in (PIN, "2222-bob", "3333-eve", "4444-one"))
    assert '"pin": "••••••••"' in text
    assert '"holder": "Ada"' in text


def test_an_edit_keeps_the_nested_secrets_that_are_left_masked(chief, purse):
    edit(chief, purse, card=json.dumps({"holder": "Ann", "pin": "••••••••"}), limit="11")
    assert stored(purse)["card"] == {"holder": "Ann", "pin": PIN}
    assert stored(purse)["limit"] == 11
    cards = [{"holder": "Eve", "pin": "••••••••"}, {"holder": "Zoe", "pin": "5555-zoe"}]
    edit(chief, purse, cards=json.dumps(cards))
    assert [card["pin"] for card in stored(purse)["cards"]] == ["3333-eve", "5555-zoe"]
    edit(chief, purse, codes='["6666-new"]')
    assert stored(purse)["codes"] == ["6666-new"]


def test_an_edit_that_leaves_open_which_secret_is_meant_is_refused(chief, purse):
    response = edit(chief, purse, cards=json.dumps([{"holder": "Ben", "pin": "••••••••"}]))
    assert "Write the secret anew" in unescape(response.content.decode())
    assert len(stored(purse)["cards"]) == 2


def test_what_was_edited_is_masked_in_the_history(chief, purse):
    edit(chief, purse, card=json.dumps({"holder": "Ada", "pin": "9999-new"}), codes='["8888-new"]')
    text = body(chief, page(purse))
    assert all(secret not in text for secret in (PIN, "9999-new", "8888-new", "4444-one"))
    assert "Ada" in text


def test_a_payload_with_keys_that_the_context_does_not_declare_is_masked(chief, purse):
    sent = {"kind": "signal", "state": "missed", "created_at": purse.created_at}
    Signal.objects.create(run=purse, name="other", payload={"pin": PIN, "limit": 7777}, **sent)
    text = body(chief, page(purse))
    assert PIN not in text
    assert "7777" in text


def test_rows_of_earlier_versions_are_cleared_where_they_are_shown(chief, purse):
    failure = {"attempt": 1, "error": f"no {PIN}", "traceback": f"tb {PIN!r}", "at": purse.created_at.isoformat()}
    ended = {"status": "failed", "started_at": purse.created_at, "created_at": purse.created_at}
    StepExecution.objects.create(
        run=purse, sequence=500, step_name="only", error=f"no {PIN}", failures=[failure], **ended
    )
    sent = {"kind": "signal", "state": "rejected", "created_at": purse.created_at}
    Signal.objects.create(run=purse, name="other", error=f"no {PIN}", **sent)
    WorkflowRun.objects.filter(pk=purse.pk).update(status="failed", error=f"LookupError: no {PIN}")
    for address in (page(purse), LIST):
        assert PIN not in body(chief, address)
    WorkflowRun.objects.filter(pk=purse.pk).update(name="gone")
    for address in (page(purse), LIST):
        assert PIN not in body(chief, address)


def test_a_childs_secrets_of_earlier_versions_are_cleared_on_its_parents_page(chief, purse, workflows):
    @workflow("owner_of_purse")
    class Owner:
        @step(start=True)
        def launch(self):
            return run_subflow("purse", on_complete=self.after)

        @step()
        def after(self, subflow_result):
            return wait.for_signal("never")

    parent = engine.start("owner_of_purse")
    workflows.drain()
    child = WorkflowRun.objects.get(parent_run=parent)
    engine.signal("go", run=child)
    workflows.drain()
    message = Signal.objects.get(run=parent, kind="child")
    Signal.objects.filter(pk=message.pk).update(payload={**message.payload, "status": "failed", "error": f"no {PIN}"})
    assert PIN not in body(chief, page(parent))


def test_the_page_of_an_event_masks_what_a_context_declares_as_secret(chief, purse):
    event = emit("card_read", data={"card": {"holder": "Ada", "pin": PIN}, "codes": ["4444-one"], "place": "door"})
    text = body(chief, f"/admin/django_ai_events/event/{event.pk}/change/")
    assert PIN not in text
    assert "4444-one" not in text
    assert '"holder": "Ada"' in text
    assert "door" in text


def test_a_reason_to_cancel_is_logged_without_the_secrets_in_it(chief, purse):
    chief.post(doing(purse, "cancel"), {"reason": f"{PIN} is known to all"})
    assert "Cancelled: •••••••• is known to all" in body(chief, page(purse))
    assert LogEntry.objects.get().change_message == "Cancelled: •••••••• is known to all"
