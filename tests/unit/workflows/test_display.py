"""What a front end gets to show a run is complete in every state, and JSON."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.utils import translation
from django.utils.functional import lazystr
from django.utils.translation import gettext_lazy

from django_ai.automation.workflows.core import complete, step, workflow
from django_ai.automation.workflows.exceptions import DeclarationError
from django_ai.automation.workflows.machine.commands import WaitKind
from django_ai.automation.workflows.machine.statuses import WorkflowStatus
from django_ai.automation.workflows.metadata import FieldDisplayConfig, FieldGroup, StepDisplayMetadata
from django_ai.automation.workflows.models import Suspension, WorkflowRun
from django_ai.automation.workflows.statezero_action import statezero_action

KEYS = {
    "status",
    "current_step",
    "step_type",
    "progress",
    "completion_display",
    "waiting_display",
    "step_display",
}
TEXTS = {"display_title": "Please wait", "display_waiting_for": "the bank"}
WITH_KEYS = {**TEXTS, "display_subtitle": None}


@pytest.fixture
def shown():
    class Shown:
        @step(start=True, display=StepDisplayMetadata(display_title="First"))
        def first(self):
            return complete()

        @statezero_action(name="fill_in")
        @step(title="Your details")
        def form(self):
            return complete()

        @step(title=gettext_lazy("Yes"), visible=False)
        def hidden(self):
            return complete()

        @step()
        def plain(self):
            return complete()

    return workflow("shown")(Shown)


def run_at(status, current_step="first", kind=None, name="shown", texts=TEXTS, **fields):
    run = WorkflowRun(pk=1, name=name, status=status, current_step=current_step, progress=0.5, **fields)
    if kind:
        run.suspension = Suspension(run=run, kind=kind, display=texts)
    return run


def display(*args, **fields):
    return run_at(*args, **fields).current_step_display


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["shown", "gone"])
@pytest.mark.parametrize("current_step", ["first", "form", "gone", ""])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, None) for status in WorkflowStatus),
        *((WorkflowStatus.SUSPENDED, kind) for kind in WaitKind),
    ],
)
def test_every_key_is_there_in_every_state_and_survives_json(shown, status, kind, current_step, name):
    data = display(status, current_step, kind, name)
    assert data.keys() == KEYS
    assert json.loads(json.dumps(data)) == data
    assert type(data["status"]) is str
    assert data["step_type"] in {"action", "automated", "waiting"}
    assert all(isinstance(data[key], dict) for key in ("completion_display", "waiting_display", "step_display"))


def test_a_running_step_shows_its_own_display(shown):
    data = display(WorkflowStatus.RUNNING)
    assert (data["status"], data["step_type"], data["progress"]) == ("running", "automated", 0.5)
    assert data["step_display"]["display_title"] == "First"
    assert (data["waiting_display"], data["completion_display"]) == ({}, {})


@pytest.mark.parametrize("kind", sorted(set(WaitKind) - {WaitKind.FORM}))
def test_a_waiting_run_shows_what_it_waits_for(shown, kind):
    data = display(WorkflowStatus.SUSPENDED, kind=kind)
    assert (data["status"], data["step_type"], data["waiting_display"]) == ("suspended", "waiting", WITH_KEYS)


def test_a_run_at_its_form_is_the_persons_turn_and_shows_no_waiting_screen(shown):
    data = display(WorkflowStatus.SUSPENDED, "form", WaitKind.FORM)
    assert (data["status"], data["step_type"], data["waiting_display"]) == ("running", "action", {})


def test_a_completed_run_shows_its_completion_and_no_step(shown):
    data = display(WorkflowStatus.COMPLETED, completion_display={"display_title": "Done"})
    texts = {"display_title": "Done", "display_subtitle": None}
    assert (data["completion_display"], data["step_display"]) == (texts, {})


@pytest.mark.parametrize("status", [WorkflowStatus.FAILED, WorkflowStatus.CANCELLED])
def test_a_run_that_ended_otherwise_shows_no_display(shown, status):
    data = display(status, completion_display={"display_title": "left over"})
    assert (data["status"], data["completion_display"], data["step_display"]) == (status.value, {}, {})


@pytest.mark.parametrize("given", [{}, {"display_title": "Done"}, {"display_subtitle": "Bye"}])
@pytest.mark.parametrize("status", [WorkflowStatus.COMPLETED, WorkflowStatus.FAILED])
def test_the_completion_display_of_a_run_that_a_step_ended_has_all_its_keys(shown, status, given):
    empty = {"display_title": None, "display_subtitle": None}
    assert run_at(status, completion_display=given).completion_display == {**empty, **given}


@pytest.mark.parametrize("status", [WorkflowStatus.RUNNING, WorkflowStatus.SUSPENDED, WorkflowStatus.CANCELLED])
def test_the_completion_display_of_any_other_run_is_empty(shown, status):
    assert run_at(status).completion_display == {}


@pytest.mark.parametrize("kind", WaitKind)
@pytest.mark.parametrize("given", [{}, {"display_title": "Wait"}, {"display_waiting_for": "the bank"}])
def test_the_waiting_display_of_a_suspended_run_has_all_its_keys(shown, kind, given):
    empty = {"display_title": None, "display_subtitle": None, "display_waiting_for": None}
    assert run_at(WorkflowStatus.SUSPENDED, kind=kind, texts=given).waiting_display == {**empty, **given}


@pytest.mark.parametrize("status", sorted(set(WorkflowStatus) - {WorkflowStatus.SUSPENDED}))
def test_the_waiting_display_of_a_run_that_does_not_wait_is_empty(shown, status):
    assert run_at(status).waiting_display == {}


@pytest.mark.parametrize("given", [{}, {"display_title": None, "display_subtitle": None}])
def test_a_display_without_a_text_is_empty_in_the_current_step_display(shown, given):
    waiting = run_at(WorkflowStatus.SUSPENDED, kind=WaitKind.SIGNAL, texts=given).current_step_display
    ended = display(WorkflowStatus.COMPLETED, completion_display=given)
    assert (waiting["waiting_display"], ended["completion_display"]) == ({}, {})


@pytest.mark.parametrize(
    ("current_step", "shows"),
    [
        ("first", ("First", None, True, None)),
        ("form", (None, "Your details", True, "fill_in")),
        ("hidden", (None, "Ja", False, None)),
    ],
)
def test_title_visibility_and_action_of_the_step_are_in_the_display(shown, current_step, shows):
    with translation.override("de"):
        data = display(WorkflowStatus.RUNNING, current_step)["step_display"]
    assert (data["display_title"], data["step_title"], data["visible"], data["action_name"]) == shows
    assert data.keys() == {*StepDisplayMetadata().as_dict(), "step_title", "visible", "action_name"}


@pytest.mark.parametrize("current_step", ["plain", "gone"])
def test_the_display_of_a_step_that_says_nothing_is_empty(shown, current_step):
    assert display(WorkflowStatus.RUNNING, current_step)["step_display"] == {}


@pytest.mark.parametrize("current_step", ["first", "form", "hidden"])
def test_an_ended_run_shows_no_step(shown, current_step):
    assert display(WorkflowStatus.COMPLETED, current_step)["step_display"] == {}


@pytest.mark.parametrize("options", [{"title": 3}, {"visible": "no"}, {"visible": None}])
def test_a_title_that_is_no_text_and_a_visibility_that_is_no_bool_are_rejected(options):
    (name,) = options
    with pytest.raises(DeclarationError, match=rf"@step\({name}="):
        step(**options)


@pytest.mark.django_db
def test_a_row_that_was_stored_without_texts_is_read_with_all_keys():
    run = WorkflowRun.objects.create(name="shown", status=WorkflowStatus.COMPLETED)
    WorkflowRun.objects.update(completion_display={})
    assert WorkflowRun.objects.get().completion_display == {"display_title": None, "display_subtitle": None}
    deferred = WorkflowRun.objects.defer("completion_display").get(pk=run.pk)
    assert "completion_display" in deferred.get_deferred_fields()
    assert deferred.completion_display == {"display_title": None, "display_subtitle": None}


def test_a_run_that_ended_by_fail_shows_what_fail_said():
    said = {"display_title": "Turned down", "display_subtitle": None}
    data = display(WorkflowStatus.FAILED, completion_display=said, failure_kind="fail")
    assert (data["completion_display"], data["step_display"]) == (said, {})


def test_metadata_has_every_key_without_being_given_one():
    assert StepDisplayMetadata().as_dict() == {
        "display_title": None,
        "display_description": None,
        "field_groups": [],
        "field_display_configs": [],
    }


def test_metadata_is_json_with_every_key_of_its_parts():
    metadata = StepDisplayMetadata(
        display_title="Property",
        field_groups=(FieldGroup("Basics", field_names=("name", "kind")),),
        field_display_configs=[FieldDisplayConfig("amenities", filter_queryset={"ids": (1, 2)})],
    )
    data = metadata.as_dict()
    assert data["field_groups"] == [
        {"display_title": "Basics", "display_description": None, "field_names": ["name", "kind"]}
    ]
    assert data["field_display_configs"] == [
        {
            "field_name": "amenities",
            "display_component": None,
            "filter_queryset": {"ids": [1, 2]},
            "display_help_text": None,
        }
    ]
    assert json.loads(json.dumps(data)) == data


def test_lazy_texts_are_translated_when_they_are_shown_wherever_they_stand():
    metadata = StepDisplayMetadata(
        display_title=gettext_lazy("Yes"),
        display_description=lazystr("lazy"),
        field_groups=[FieldGroup(gettext_lazy("No"), gettext_lazy("Yes"), [lazystr("name")])],
        field_display_configs=[
            FieldDisplayConfig(
                "name", filter_queryset={"label": gettext_lazy("No")}, display_help_text=gettext_lazy("Yes")
            )
        ],
    )
    with translation.override("de"):
        german = metadata.as_dict()
    assert json.loads(json.dumps(german)) == german
    assert (german["display_title"], german["field_groups"][0]["display_title"]) == ("Ja", "Nein")
    assert german["field_display_configs"][0]["filter_queryset"] == {"label": "Nein"}
    with translation.override("en"):
        assert metadata.as_dict()["display_title"] == "Yes"


def test_dates_and_decimals_of_a_filter_become_json():
    filters = {"from": date(2026, 1, 1), "at": datetime(2026, 1, 1, tzinfo=UTC), "price": Decimal("1.50")}
    config = FieldDisplayConfig("x", filter_queryset=filters)
    [shown] = StepDisplayMetadata(field_display_configs=[config]).as_dict()["field_display_configs"]
    assert shown["filter_queryset"] == {"from": "2026-01-01", "at": "2026-01-01T00:00:00Z", "price": "1.50"}
