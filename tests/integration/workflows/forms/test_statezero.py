"""Where StateZero is installed, a form is one of its actions."""

import pytest
from django.apps import apps
from rest_framework import serializers
from rest_framework.test import APIClient

from django_ai.automation.workflows.core import complete, engine, step, workflow
from django_ai.automation.workflows.metadata import FieldDisplayConfig, FieldGroup, StepDisplayMetadata
from django_ai.automation.workflows.statezero_action import statezero_action

pytestmark = pytest.mark.skipif(not apps.is_installed("statezero.adaptors.django"), reason="StateZero is not installed")


class ChoiceSerializer(serializers.Serializer):
    choice = serializers.ChoiceField(choices=[("a", "Apple"), ("p", "Pear")])


@pytest.fixture
def choose():
    @workflow("choose")
    class Choose:
        @statezero_action(name="choose_fruit", serializer=ChoiceSerializer)
        @step(
            start=True,
            display=StepDisplayMetadata(
                display_title="Fruit",
                field_groups=[FieldGroup("All", field_names=["choice"])],
                field_display_configs=[FieldDisplayConfig("choice", display_component="Basket")],
            ),
        )
        def choose(self, choice):
            """Choose one."""
            return complete()

    return Choose


@pytest.fixture(params=[True, False])
def debug(request, settings):
    settings.DEBUG = request.param


def schema():
    response = APIClient().get("/statezero/actions-schema/")
    assert response.status_code == 200, response.content
    return response.json()["actions"]


def test_a_form_stands_in_statezeros_schema_with_its_display(choose, db):
    described = schema()["choose_fruit"]
    assert list(described["input_properties"]) == ["workflow_run_id", "choice"]
    assert described["input_properties"]["choice"]["choices"] == {"a": "Apple", "p": "Pear"}
    assert described["docstring"] == "Choose one."
    assert described["display"]["display_title"] == "Fruit"
    assert described["display"]["field_groups"][0]["field_names"] == ["choice"]
    assert described["display"]["field_display_configs"][0]["display_component"] == "Basket"


def test_type_hints_that_statezero_cannot_read_do_not_break_its_schema(db):
    from decimal import Decimal

    @workflow("hinted")
    class Hinted:
        @statezero_action(name="hinted_for_statezero")
        @step(start=True)
        def ask(self, amount: Decimal, count: int | None = None):
            return complete()

    properties = schema()["hinted_for_statezero"]["input_properties"]
    assert (properties["amount"]["required"], properties["count"]["nullable"]) == (True, True)


def test_statezeros_own_permissions_and_display_are_taken(workflows):
    from statezero.core.classes import DisplayMetadata
    from statezero.core.interfaces import AbstractActionPermission

    class NoPears(AbstractActionPermission):
        def has_permission(self, request, action_name):
            return True

        def has_action_permission(self, request, action_name, validated_data):
            return validated_data["choice"] != "p"

    @workflow("choose_apple")
    class ChooseApple:
        @statezero_action(
            name="choose_apple",
            serializer=ChoiceSerializer,
            permissions=NoPears,
            display=DisplayMetadata(display_title="No pears"),
        )
        @step(start=True)
        def choose(self, choice):
            return complete()

    run = engine.start(ChooseApple)
    assert run.current_step_display["step_display"]["display_title"] == "No pears"
    for base in ("/forms/", "/statezero/"):
        body = {"workflow_run_id": run.pk, "choice": "p"}
        assert APIClient().post(f"{base}actions/choose_apple/", body, format="json").status_code == 403
    body["choice"] = "a"
    assert APIClient().post("/statezero/actions/choose_apple/", body, format="json").status_code == 200
    assert "NoPears" in str(schema()["choose_apple"]["permissions"])


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("choose_fruit", {"choice": "x"}),
        ("choose_fruit", {"choice": "a"}),
        ("choose_fruit", {"workflow_run_id": 10**9, "choice": "a"}),
        ("nonsense", {}),
    ],
)
@pytest.mark.usefixtures("choose", "db", "debug")
def test_both_servers_answer_a_fault_in_the_same_format(action, body):
    ours, theirs = (
        APIClient().post(f"{base}actions/{action}/", body, format="json") for base in ("/forms/", "/statezero/")
    )
    assert ours.status_code == theirs.status_code
    mine, their = ours.json(), theirs.json()
    if action == "nonsense":  # each says it in its own words
        del mine["detail"]["message"], their["detail"]["message"]
    assert mine == their
