"""What a front end gets to show a run is complete in every state, and JSON."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.utils import translation
from django.utils.functional import lazystr
from django.utils.translation import gettext_lazy

from django_ai.automation.workflows.core import complete, step, workflow
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


@pytest.fixture
def shown():
    class Shown:
        @step(start=True, display=StepDisplayMetadata(display_title="First"))
        def first(self):
            return complete()

        @statezero_action()
        @step()
        def form(self):
            return complete()

        @step()
        def plain(self):
            return complete()

    return workflow("shown")(Shown)


def display(status, current_step="first", kind=None, name="shown", **fields):
    run = WorkflowRun(pk=1, name=name, status=status, current_step=current_step, progress=0.5, **fields)
    if kind:
        run.suspension = Suspension(run=run, kind=kind, display=TEXTS)
    return run.current_step_display


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
    assert (data["status"], data["step_type"], data["waiting_display"]) == ("suspended", "waiting", TEXTS)


def test_a_run_at_its_form_is_the_persons_turn_and_shows_no_waiting_screen(shown):
    data = display(WorkflowStatus.SUSPENDED, "form", WaitKind.FORM)
    assert (data["status"], data["step_type"], data["waiting_display"]) == ("running", "action", {})


def test_a_completed_run_shows_its_completion_and_no_step(shown):
    data = display(WorkflowStatus.COMPLETED, completion_display={"display_title": "Done"})
    assert (data["completion_display"], data["step_display"]) == ({"display_title": "Done"}, {})


@pytest.mark.parametrize("status", [WorkflowStatus.FAILED, WorkflowStatus.CANCELLED])
def test_a_run_that_ended_otherwise_shows_no_display(shown, status):
    data = display(status, completion_display={"display_title": "left over"})
    assert (data["status"], data["completion_display"], data["step_display"]) == (status.value, {}, {})


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
