"""A signal does what its sender meant, or the sender is told why not."""

from datetime import timedelta
from decimal import Decimal
from unittest import mock

import pytest
from django.core.management import call_command
from django.db import transaction
from pydantic import BaseModel, Field

from django_ai.automation.events import emit
from django_ai.automation.workflows.authoring.registry import registry
from django_ai.automation.workflows.core import complete, engine, goto, step, wait, wait_for_event, workflow
from django_ai.automation.workflows.exceptions import IllegalMove, InvalidOption, SignalRejected, UnknownSignal
from django_ai.automation.workflows.models import Signal, SignalKey, Suspension, WorkflowRun
from django_ai.automation.workflows.runtime import inbox, worker

from .declared import declare_collector, declare_inquiry, reloaded

UNTOUCHED = {"approved": False, "amount": 10, "note": ""}


class Decision(BaseModel):
    approved: bool
    note: str = Field("none given", max_length=20)


class Context(BaseModel):
    approved: bool = False
    amount: int = 10
    note: str = ""


def declare_approvals(*, one=None, other=None, decorated=False):
    """Declare a workflow with two waits for one signal, which take these options."""

    @workflow("approvals")
    class Approvals:
        Context = globals()["Context"]

        @step(start=True)
        def first(self):
            return goto(self.entered) if decorated else wait("decision", then=self.second, **(one or {}))

        @wait("decision", **((one or {}) if decorated else {}))
        @step()
        def entered(self):
            return goto(self.second)

        @step()
        def second(self):
            return wait("decision", then=self.end, **(other or {}))

        @step()
        def end(self):
            return complete()

    return Approvals


def states():
    return list(Signal.objects.order_by("pk").values_list("state", flat=True))


def waiting(workflows, **options):
    run = engine.start(declare_approvals(**options))
    workflows.drain()
    return run


def is_at(run, step):
    run = reloaded(run)
    return (run.current_step, run.status) == (step, "suspended")


@pytest.mark.parametrize("decorated", [False, True])
@pytest.mark.parametrize("options", [{"fields": ["approved"]}, {"payload": Decision}])
@pytest.mark.parametrize("payload", [{"approve": True}, {"approved": True, "amount": 1_000_000}, {}])
def test_a_payload_that_the_wait_does_not_take_is_rejected_and_the_run_waits_on(workflows, options, payload, decorated):
    run = waiting(workflows, one=options, decorated=decorated)
    with pytest.raises(SignalRejected, match=rf"run #{run.pk}: .*approved") as caught:
        engine.signal("decision", payload, run=run)
    assert caught.value.rejections[0][0] == run.pk
    with pytest.raises(SignalRejected):
        engine.signal("decision", payload)
    workflows.drain()
    assert (reloaded(run).data, states()) == (UNTOUCHED, [])


@pytest.mark.parametrize("decorated", [False, True])
def test_the_defaults_of_a_payload_model_merge_too(workflows, decorated):
    run = waiting(workflows, one={"payload": Decision}, decorated=decorated)
    engine.signal("decision", {"approved": True}, run=run)
    workflows.drain()
    assert reloaded(run).data == {"approved": True, "amount": 10, "note": "none given"}


def test_a_payload_model_checks_the_values(workflows):
    run = waiting(workflows, one={"payload": Decision})
    with pytest.raises(SignalRejected, match="note: String should have at most 20 characters"):
        engine.signal("decision", {"approved": True, "note": "x" * 21}, run=run)


def test_a_kept_signal_that_the_wait_does_not_take_is_rejected_when_the_run_gets_there(workflows):
    run = waiting(workflows, other={"fields": ["approved"]})
    engine.signal("decision", {"approved": True}, run=run)
    for payload in ({"approve": True}, {"approved": False, "amount": 5}):
        Signal.objects.create(run=run, kind="signal", name="decision", payload=payload, created_at=run.created_at)
    workflows.drain()
    assert is_at(run, "second")
    assert reloaded(run).data["approved"] is True
    assert states() == ["delivered", "rejected", "rejected"]
    assert "Did you mean 'approved'?" in Signal.objects.get(payload={"approve": True}).error


def test_the_shape_of_a_wait_is_stored_for_processes_that_never_ran_the_step(workflows):
    run = waiting(workflows, one={"payload": Decision})
    assert Suspension.objects.get(run=run).accepts == {
        "sequence": reloaded(run).sequence,
        "keys": {"approved": "approved", "note": "note"},
        "required": ["approved"],
        "model": f"{__name__}:Decision",
    }


def test_a_row_without_a_shape_takes_what_it_took(workflows):
    run = waiting(workflows, one={"fields": ["approved"]})
    Suspension.objects.update(accepts=None)
    assert engine.signal("decision", {"approve": True, "amount": 11}, run=run) == 1
    workflows.drain()
    assert reloaded(run).data["amount"] == 11


def test_a_shape_that_older_code_left_in_the_row_of_another_wait_does_not_count(workflows):
    run = waiting(workflows, one={"fields": ["approved"]})
    wait_row = Suspension.objects.get()
    Suspension.objects.update(accepts={**wait_row.accepts, "sequence": 1_000})
    assert engine.signal("decision", {"amount": 11}, run=run) == 1


def test_a_wait_on_a_step_takes_what_the_code_says_now(workflows):
    run = waiting(workflows, one={"fields": ["approved"]}, decorated=True)
    declare_approvals(one={"fields": ["approved", "note"]}, decorated=True)
    with pytest.raises(SignalRejected, match="note: Field required"):
        engine.signal("decision", {"approved": True}, run=run)
    assert engine.signal("decision", {"approved": True, "note": "n"}, run=run) == 1


def test_a_run_goes_on_whose_payload_model_is_gone(workflows):
    run = waiting(workflows, one={"payload": Decision})
    shape = Suspension.objects.get().accepts
    Suspension.objects.update(accepts={**shape, "model": f"{__name__}:Gone"})
    with pytest.raises(SignalRejected, match="Did you mean 'approved'"):
        engine.signal("decision", {"approve": True}, run=run)
    engine.signal("decision", {"approved": True}, run=run)
    workflows.drain()
    assert reloaded(run).data == {"approved": True, "amount": 10, "note": ""}


def test_a_local_payload_model_is_found_where_its_step_has_it(workflows):
    class Local(BaseModel):
        approved: bool
        note: str = Field(max_length=3)

    @workflow("local")
    class AsksLocally:
        Context = globals()["Context"]

        @step(start=True)
        def ask(self):
            return wait("decision", payload=Local)

    run = engine.start(AsksLocally)
    workflows.drain()
    with pytest.raises(SignalRejected, match="at most 3"):
        engine.signal("decision", {"approved": True, "note": "long"}, run=run)


def test_a_wait_that_names_what_the_context_lacks_fails_its_run(workflows):
    names = ["aproved"]
    run = waiting(workflows, one={"fields": names})
    assert reloaded(run).status == "failed"
    assert "Did you mean 'approved'?" in reloaded(run).error


def test_a_key_is_delivered_once_to_a_run_whatever_became_of_the_first(workflows):
    run = waiting(workflows)
    assert engine.signal("decision", {"approved": True}, run=run, key="click") == 1
    assert engine.signal("decision", {"approved": True}, run=run, key="click") == 0
    workflows.drain()
    assert is_at(run, "second")
    assert engine.signal("decision", {"approved": True}, run=run, key="click") == 0
    assert engine.signal("decision", {"approved": True}, run=run, key="another click") == 1
    workflows.drain()
    assert (reloaded(run).status, states()) == ("completed", ["delivered", "delivered"])


def test_a_key_counts_for_each_run_of_a_broadcast(workflows):
    mine, yours = waiting(workflows), engine.start("approvals")
    engine.signal("decision", run=mine, key="k")
    workflows.drain()
    assert (is_at(mine, "second"), is_at(yours, "first")) == (True, True)
    assert engine.signal("decision", key="k") == 1
    assert engine.signal("decision", key="k") == 0
    workflows.drain()
    assert (is_at(mine, "second"), is_at(yours, "second")) == (True, True)


def test_a_broadcast_with_a_key_reaches_more_runs_than_fit_one_insert(workflows, monkeypatch):
    monkeypatch.setattr(inbox, "BATCH", 2)
    runs = [waiting(workflows), *(engine.start("approvals") for _ in range(4))]
    workflows.drain()
    assert engine.signal("decision", key="k") == 5
    assert engine.signal("decision", key="k") == 0
    workflows.drain()
    assert all(is_at(run, "second") for run in runs)


def test_a_rejected_signal_does_not_use_its_key_up(workflows):
    run = waiting(workflows, one={"fields": ["approved"]})
    with pytest.raises(SignalRejected):
        engine.signal("decision", {"approve": True}, run=run, key="k")
    assert engine.signal("decision", {"approved": True}, run=run, key="k") == 1


@pytest.mark.django_db(transaction=True)
def test_a_key_of_a_transaction_that_rolls_back_is_free_again(workflows):
    run = waiting(workflows)
    with transaction.atomic():
        engine.signal("decision", run=run, key="k")
        transaction.set_rollback(True)
    assert (SignalKey.objects.count(), engine.signal("decision", run=run, key="k")) == (0, 1)


@pytest.mark.parametrize("key", ["", " k", "k" * 201, 7, b"k"])
def test_a_key_that_is_no_short_text_is_refused(workflows, key):
    run = waiting(workflows)
    with pytest.raises(InvalidOption, match="key must be 1 to 200 characters"):
        engine.signal("decision", run=run, key=key)


def test_a_key_goes_with_its_run(workflows):
    run = waiting(workflows)
    engine.signal("decision", run=run, key="k")
    engine.cancel(run)
    workflows.drain()
    call_command("workflows", "cleanup", "--before", "2099-01-01")
    assert SignalKey.objects.count() == 0


def test_only_if_waiting_keeps_nothing(workflows):
    run = engine.start(declare_approvals())
    assert engine.signal("decision", run=run, only_if_waiting=True) == 0
    workflows.drain()
    assert (is_at(run, "first"), states()) == (True, [])
    assert engine.signal("decision", run=run, only_if_waiting=True) == 1
    assert engine.signal("decision", run=run, only_if_waiting=True) == 1, "the first is not delivered yet"
    workflows.drain()
    assert (is_at(run, "second"), states()) == (True, ["delivered", "missed"])


def test_only_if_waiting_is_not_met_by_a_run_that_has_ended(workflows):
    run = waiting(workflows)
    engine.cancel(run)
    assert engine.signal("decision", run=run, only_if_waiting=True) == 0
    with pytest.raises(IllegalMove):
        engine.signal("decision", run=run)


def test_a_fresh_wait_takes_nothing_that_was_sent_before_it_began(workflows):
    run = engine.start(declare_approvals(one={"fresh": True}, other={"fresh": True}))
    engine.signal("decision", run=run)
    workflows.drain()
    assert (is_at(run, "first"), states()) == (True, ["missed"])
    engine.signal("decision", run=run)
    engine.signal("decision", run=run)
    workflows.drain()
    assert (is_at(run, "second"), states()) == (True, ["missed", "delivered", "missed"])
    engine.signal("decision", run=run)
    workflows.drain()
    assert reloaded(run).status == "completed"


def test_a_fresh_wait_on_a_step_takes_nothing_from_before_either(workflows):
    run = engine.start(declare_approvals(one={"fresh": True}, decorated=True))
    engine.signal("decision", run=run)
    workflows.drain()
    assert (is_at(run, "entered"), states()) == (True, ["missed"])
    engine.signal("decision", run=run)
    workflows.drain()
    assert is_at(run, "second")


def test_what_a_fresh_wait_left_aside_is_not_kept_again_by_a_retry(workflows):
    run = engine.start(declare_approvals(one={"fresh": True, "timeout": timedelta(hours=1)}))
    engine.signal("decision", run=run)
    workflows.advance(timedelta(hours=2))
    assert reloaded(run).status == "failed"
    engine.retry(run)
    workflows.drain()
    assert states() == ["missed"]


@pytest.mark.parametrize(("before", "state"), [(True, "missed"), (False, "delivered")])
def test_of_a_sender_with_older_code_the_clock_of_the_database_decides(workflows, before, state):
    run = waiting(workflows, one={"fresh": True})
    at = Suspension.objects.get().created_at + timedelta(seconds=-1 if before else 1)
    Signal.objects.create(run=run, kind="signal", name="decision", created_at=at)
    worker.deliver(run.pk)
    assert states() == [state]


def test_a_signal_that_the_workflow_never_waits_for_names_those_it_has(workflows):
    run = waiting(workflows)
    with pytest.raises(UnknownSignal, match=r"never waits for the signal 'decison'\. Did you mean 'decision'\?"):
        engine.signal("decison", run=run)
    assert engine.signal("decison") == 0


def test_a_name_that_the_run_waits_for_is_taken_though_the_code_has_another_by_now(workflows):
    run = waiting(workflows)
    Suspension.objects.update(name="old decision")
    assert engine.signal("old decision", run=run) == 1


def test_a_workflow_with_computed_names_takes_any(workflows):
    name = "computed"

    @workflow("computes")
    class Computes:
        @step(start=True)
        def only(self):
            return wait(f"{name} {self}")

    assert engine.signal("whatever", run=engine.start(Computes)) == 1


def test_an_event_is_not_sent_as_a_signal(workflows):
    @workflow("listens")
    class Listens:
        @step(start=True)
        def only(self):
            return wait_for_event("paid")

    run = engine.start(Listens)
    workflows.drain()
    for send in (
        lambda: engine.signal("paid", run=run),
        lambda: engine.signal("event:paid", run=run),
        lambda: engine.signal("event:paid"),
    ):
        with pytest.raises(UnknownSignal, match=r"call emit\('paid', \.\.\.\)"):
            send()
    assert engine.signal("paid") == 0
    emit("paid")
    workflows.drain()
    assert reloaded(run).status == "completed"


def test_an_event_that_the_run_waits_for_later_is_no_signal_either(workflows):
    @workflow("listens_later")
    class ListensLater:
        @step(start=True)
        def first(self):
            return wait("begin", then=self.last)

        @step()
        def last(self):
            return wait_for_event("paid")

    with pytest.raises(UnknownSignal, match="call emit"):
        engine.signal("paid", run=engine.start(ListensLater))


@pytest.mark.parametrize(("payload", "fits"), [({"approved": 1}, True), ({"approve": 1}, False), ({}, False)])
def test_a_sender_without_the_code_of_a_workflow_knows_the_fields_of_its_wait(workflows, payload, fits):
    run = waiting(workflows, one={"fields": ["approved"]})
    with mock.patch.object(registry, "get", return_value=None):
        if fits:
            assert engine.signal("decision", payload, run=run) == 1
        else:
            with pytest.raises(SignalRejected, match=f"run #{run.pk}: "):
                engine.signal("decision", payload, run=run)


def test_a_field_may_be_sent_under_its_alias_by_a_sender_without_the_code(workflows):
    @workflow("aliased")
    class Aliased:
        class Context(BaseModel):
            order_id: int = Field(0, alias="orderId")

        @step(start=True)
        def ask(self):
            return wait("decision", fields=["order_id"])

    run = engine.start(Aliased)
    workflows.drain()
    with mock.patch.object(registry, "get", return_value=None):
        assert engine.signal("decision", {"orderId": 7}, run=run) == 1
    workflows.drain()
    assert reloaded(run).data == {"orderId": 7}


def test_a_nested_model_of_another_class_with_the_same_fields_merges(workflows):
    class Sent(BaseModel):
        price: Decimal

    class Order(BaseModel):
        lines: list[Sent]

    class Line(BaseModel):
        price: Decimal = Decimal(0)

    @workflow("nested")
    class Nested:
        class Context(BaseModel):
            lines: list[Line] = []

        @step(start=True)
        def ask(self):
            return wait("ordered", payload=Order)

    run = engine.start(Nested)
    workflows.drain()
    engine.signal("ordered", {"lines": [{"price": "1.50"}]}, run=run)
    workflows.drain()
    assert reloaded(run).data == {"lines": [{"price": "1.50"}]}


def test_the_key_of_a_run_that_is_gone_goes_too(workflows):
    run = engine.start(declare_approvals())
    engine.signal("decision", run=run, key="k")
    WorkflowRun.objects.filter(pk=run.pk)._raw_delete(WorkflowRun.objects.db)
    inbox.forget([run.pk])
    assert (SignalKey.objects.count(), Signal.objects.count()) == (0, 0)


def test_a_run_that_is_named_needs_no_key_of_its_wait(workflows):
    with pytest.raises(InvalidOption, match="exclude one another"):
        engine.signal("decision", run=waiting(workflows), correlate="x")


@pytest.mark.parametrize("name", ["", "x" * 201, None, 7])
def test_what_is_no_name_is_refused(workflows, name):
    with pytest.raises(InvalidOption, match="1 to 200 characters"):
        engine.signal(name)


def test_a_broadcast_reaches_every_run_though_it_reads_them_in_pages(workflows, monkeypatch):
    monkeypatch.setattr("django_ai.automation.workflows.runtime.signalling.PAGE", 2)
    runs = [engine.start(declare_inquiry()), *(engine.start("inquiry") for _ in range(4))]
    workflows.drain()
    assert engine.signal("answer", {"text": "yes"}) == 5
    workflows.drain()
    assert {reloaded(run).status for run in runs} == {"completed"}


def test_kept_signals_are_still_delivered_in_order_where_nothing_is_asked_for(workflows):
    run = engine.start(declare_collector(2))
    for text in ("one", "two"):
        engine.signal("answer", {"text": text}, run=run)
    workflows.drain()
    assert reloaded(run).data["answers"] == ["one", "two"]
