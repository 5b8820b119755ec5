"""What a person does to a run: asked first, done once, written down, and only by those who may."""

import pytest
from django.contrib.admin.models import LogEntry
from pydantic import BaseModel, Field, SecretStr

from django_ai.automation.workflows.core import engine, sleep, step, wait, workflow
from django_ai.automation.workflows.models import Restart, WorkflowRun

from .conftest import LIST, SECRET, doing, page

# What each verb takes: a run in this state, this permission, and these values.
VERBS = {
    "retry": ("failed", "retry", {}),
    "restart": ("failed", "retry", {"sequence": "1"}),
    "cancel": ("waiting", "cancel", {"reason": "too late"}),
    "wake": ("asleep", "change", {}),
    "edit": ("failed", "change", {"context_number": "8", "context_address": "", "context_log": "[]"}),
    "signal": ("waiting", "signal", {"name": "delivered", "context_number": "9"}),
}


def state(run):
    return WorkflowRun.objects.filter(pk=run.pk).values("status", "sequence", "data").get()


@pytest.mark.parametrize("verb", VERBS)
def test_each_thing_is_asked_first_and_then_done_and_written_down(runs, client_of, verb):
    where, permission, values = VERBS[verb]
    run, client = runs[where], client_of("view", permission)
    before = state(run)
    asked = client.get(doing(run, verb), values if verb == "restart" else {})
    assert (asked.status_code, state(run), LogEntry.objects.count()) == (200, before, 0)
    done = client.post(doing(run, verb), values)
    assert done.status_code == 302, done.content.decode()
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (client.user, str(run.pk))


@pytest.mark.parametrize("verb", VERBS)
def test_who_may_only_look_sees_no_button_and_can_do_nothing(runs, client_of, verb):
    where, _, values = VERBS[verb]
    run, client = runs[where], client_of("view")
    before = state(run)
    assert b"/do/" not in client.get(page(run)).content
    assert client.get(doing(run, verb)).status_code == 403
    assert client.post(doing(run, verb), values).status_code == 403
    assert client.post(f"{LIST}bulk/{verb}/", {"ids": str(run.pk), "below": 10**9, "total": "1"}).status_code == 403
    assert (state(run), LogEntry.objects.count(), Restart.objects.count()) == (before, 0, 0)


@pytest.mark.parametrize("verb", VERBS)
def test_one_permission_does_not_stand_for_another(runs, client_of, verb):
    where, permission, values = VERBS[verb]
    others = {"change", "retry", "cancel", "signal"} - {permission}
    assert client_of("view", *others).post(doing(runs[where], verb), values).status_code == 403


@pytest.mark.parametrize("verb", VERBS)
def test_who_may_not_see_runs_may_do_nothing_to_them(runs, client_of, verb):
    where, permission, values = VERBS[verb]
    if permission != "change":  # which is a permission to see too
        assert client_of(permission).post(doing(runs[where], verb), values).status_code == 403


def test_the_page_itself_takes_no_post(runs, chief):
    assert chief.post(page(runs["waiting"]), {"status": "completed"}).status_code == 403


def test_runs_are_neither_added_nor_deleted_by_hand(runs, chief):
    assert chief.get(f"{LIST}add/").status_code == 403
    assert chief.post(page(runs["failed"]).replace("change/", "delete/"), {"post": "yes"}).status_code == 403


def test_a_failed_run_goes_on_after_an_edit_and_a_retry(runs, chief, workflows):
    run = runs["failed"]
    chief.post(doing(run, "edit"), {"context_number": "1", "context_address": "", "context_log": '["packed"]'})
    chief.post(doing(run, "retry"))
    workflows.drain()
    assert state(run)["status"] == "completed"
    said = list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True))
    assert said == ["Edited the context (number).", "Retried from the step “file”."]


@pytest.fixture
def decided(runs):
    """A run that ended by fail()."""
    WorkflowRun.objects.filter(pk=runs["failed"].pk).update(retryable=False)
    return runs["failed"]


def test_a_run_whose_end_was_decided_is_retried_by_force_alone_after_a_second_confirmation(decided, chief):
    shown = chief.get(page(decided)).content.decode()
    assert "by fail()" in shown
    assert "Retry by force" in shown
    assert f'{doing(decided, "retry")}"' not in shown
    assert chief.post(doing(decided, "retry")).status_code == 302
    asked = chief.get(doing(decided, "force")).content.decode()
    assert "its workflow decided that" in asked
    assert chief.post(doing(decided, "force")).status_code == 200  # the tick is missing
    assert state(decided)["status"] == "failed"
    chief.post(doing(decided, "force"), {"repeat": "on"})
    assert state(decided)["status"] == "running"
    assert LogEntry.objects.get().change_message == "Retried by force from the step “file”."


def test_to_retry_by_force_takes_the_permission_to_retry(decided, client_of):
    assert client_of("view", "change", "cancel").post(doing(decided, "force"), {"repeat": "on"}).status_code == 403
    assert state(decided)["status"] == "failed"


def test_force_is_offered_for_no_run_that_a_retry_takes(runs, chief):
    assert "Retry by force" not in chief.get(page(runs["failed"])).content.decode()


def test_an_edit_changes_only_what_was_changed_and_keeps_secrets(runs, chief):
    run = runs["failed"]
    chief.post(doing(run, "edit"), {"context_number": "-1", "context_address": "x", "context_log": '["packed"]'})
    assert state(run)["data"] == {**run.data, "address": "x"}
    chief.post(doing(run, "edit"), {"context_number": "-1", "context_address": "x", "context_password": "new-secret"})
    assert state(run)["data"]["password"] == "new-secret"
    assert "new-secret" not in str(list(LogEntry.objects.values()))


def test_an_edit_that_does_not_fit_is_told_at_its_field(runs, chief):
    run = runs["failed"]
    answer = chief.post(doing(run, "edit"), {"context_number": "many", "context_address": ""})
    assert (answer.status_code, state(run)["data"]) == (200, run.data)
    assert "valid integer" in str(answer.context["form"].errors["context_number"])


def test_an_edit_of_nothing_is_no_edit(runs, chief):
    values = {"context_number": "-1", "context_address": "", "context_log": '["packed"]'}
    answer = chief.post(doing(runs["failed"], "edit"), values)
    assert "Nothing was changed" in answer.content.decode()
    assert LogEntry.objects.count() == 0


def test_a_signal_brings_the_fields_that_were_filled_in_and_no_others(runs, chief, workflows):
    run = runs["waiting"]
    chief.post(doing(run, "signal"), {"name": "delivered", "context_address": "", "context_log": '["by hand"]'})
    workflows.drain()
    assert run.signals.get().payload == {"log": ["by hand"]}
    assert state(run)["status"] == "completed"


def test_the_signal_that_a_run_waits_for_is_proposed(runs, chief):
    assert chief.get(doing(runs["waiting"], "signal")).context["form"]["name"].value() == "delivered"


class Decision(BaseModel):
    approved: bool
    note: str = Field("", description="Why.", max_length=10)
    pin: SecretStr = SecretStr("")


@pytest.fixture
def asking(workflows):
    """Return a function that starts a run whose wait has these options."""

    def start(**options):
        @workflow("asking")
        class Asking:
            class Context(BaseModel):
                approved: bool = False
                note: str = ""
                pin: SecretStr = SecretStr("")
                amount: int = 10

            @step(start=True)
            def ask(self):
                return wait("decision", then=self.again, **options)

            @step()
            def again(self):
                return wait("second decision")

        run = engine.start(Asking)
        workflows.drain()
        return run

    return start


def fields_of(client, run):
    form = client.get(doing(run, "signal")).context["form"]
    return {name: field.required for name, field in form.fields.items() if name.startswith("context_")}


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"fields": ["approved"]}, {"context_approved": True}),
        ({"fields": []}, {}),
        ({"payload": Decision}, {"context_approved": True, "context_note": False, "context_pin": False}),
        ({}, dict.fromkeys(["context_approved", "context_note", "context_pin", "context_amount"], False)),
    ],
)
def test_the_dialog_of_a_signal_has_the_fields_that_the_wait_takes(asking, chief, options, fields):
    run = asking(**options)
    assert fields_of(chief, run) == fields
    assert [name for name, _ in chief.get(doing(run, "signal")).context["form"].fields["name"].choices] == [
        "decision",
        "second decision",
    ]


def test_what_the_dialog_sends_is_what_the_wait_takes(asking, chief, workflows):
    run = asking(payload=Decision)
    sent = {"name": "decision", "context_approved": "false", "context_pin": "swordfish"}
    answer = chief.post(doing(run, "signal"), {**sent, "context_note": "too long for it"})
    assert answer.context["form"].errors == {"context_note": ["String should have at most 10 characters"]}
    assert chief.post(doing(run, "signal"), sent).status_code == 302
    workflows.drain()
    assert run.signals.get().payload == {"approved": False, "pin": "swordfish"}
    assert WorkflowRun.objects.get(pk=run.pk).current_step == "again"


def test_a_field_that_the_wait_needs_has_to_be_filled_in(asking, chief):
    run = asking(fields=["approved"])
    answer = chief.post(doing(run, "signal"), {"name": "decision", "context_approved": ""})
    assert "context_approved" in answer.context["form"].errors


def test_the_dialog_sends_once_for_each_key_and_only_to_a_run_that_waits(asking, chief, workflows):
    run = asking()
    click = {"name": "decision", "key": "click", "only_if_waiting": "on"}
    assert chief.post(doing(run, "signal"), click).status_code == 302
    assert b"has had one with this key" in chief.post(doing(run, "signal"), click).content
    workflows.drain()
    answer = chief.post(doing(run, "signal"), {"name": "decision", "only_if_waiting": "on"})
    assert b"does not wait for this signal now" in answer.content
    assert run.signals.count() == LogEntry.objects.count() == 1


def test_a_run_whose_workflow_waits_for_no_signal_is_offered_none(chief, workflows):
    @workflow("resting")
    class Resting:
        @step(start=True)
        def rest(self):
            return sleep(60)

    run = engine.start(Resting)
    workflows.drain()
    assert b"do/signal/" not in chief.get(page(run)).content


def test_a_signal_that_does_not_fit_is_not_sent(runs, chief):
    answer = chief.post(doing(runs["waiting"], "signal"), {"name": "delivered", "context_number": "x"})
    assert answer.status_code == 200
    assert not runs["waiting"].signals.exists()


def test_the_reason_of_a_cancellation_is_kept(runs, chief):
    chief.post(doing(runs["waiting"], "cancel"), {"reason": "no stock"})
    run = WorkflowRun.objects.get(pk=runs["waiting"].pk)
    assert (run.status, run.error) == ("cancelled", "no stock")


def test_a_new_run_begins_at_an_earlier_step_and_is_linked_with_the_old_one(runs, chief, workflows):
    run = runs["failed"]
    answer = chief.post(doing(run, "restart"), {"sequence": "1"})
    again = WorkflowRun.objects.latest("pk")
    assert answer["Location"] == page(again)
    assert (again.data["log"], again.data["number"], state(run)["status"]) == ([], -1, "failed")
    assert page(again) in chief.get(page(run)).content.decode()
    assert page(run) in chief.get(page(again)).content.decode()


def test_a_visit_that_never_was_cannot_be_begun_again(runs, chief):
    answer = chief.post(doing(runs["failed"], "restart"), {"sequence": "77"})
    assert "was at no step" in answer.content.decode()


def test_what_no_longer_applies_is_told_and_not_done(runs, chief):
    engine.retry(runs["failed"])
    answer = chief.post(doing(runs["failed"], "retry"), follow=True)
    assert "no longer applies" in answer.content.decode()
    assert LogEntry.objects.count() == 0


def test_there_are_no_other_things_to_do(runs, chief):
    assert chief.get(doing(runs["failed"], "explode")).status_code == 404


def test_a_form_that_is_refused_does_not_give_a_secret_back(runs, chief):
    answer = chief.post(doing(runs["failed"], "edit"), {"context_number": "x", "context_password": SECRET + "!"})
    assert SECRET not in answer.content.decode()
