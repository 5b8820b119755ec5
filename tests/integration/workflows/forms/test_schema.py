"""What a page needs to render a form: its fields, their choices, how they are shown."""

import pytest
from django.contrib.auth.models import Group
from django.test import override_settings
from django.utils.translation import gettext_lazy
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated

from django_ai.automation.workflows.core import complete, engine, step, workflow
from django_ai.automation.workflows.http import schema
from django_ai.automation.workflows.metadata import FieldDisplayConfig, FieldGroup, StepDisplayMetadata
from django_ai.automation.workflows.statezero_action import statezero_action

from .conftest import GOOD, Forms


@pytest.fixture
def base():
    # StateZero has a schema of its own; this one is the app's.
    return "/forms/"


class PlaceSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=20, help_text="As on the door.")
    story = serializers.CharField(style={"base_template": "textarea.html"}, required=False, allow_blank=True)
    kind = serializers.ChoiceField(choices=[("h", "House"), ("b", "Boat")], default="h")
    email = serializers.EmailField()
    opened = serializers.DateField(allow_null=True)
    rooms = serializers.IntegerField(min_value=1, max_value=9)
    price = serializers.DecimalField(max_digits=6, decimal_places=2)
    pets = serializers.BooleanField(default=False)
    tags = serializers.ListField(child=serializers.CharField(max_length=5))
    colours = serializers.MultipleChoiceField(choices=["red", "blue"])
    group = serializers.PrimaryKeyRelatedField(queryset=Group.objects.order_by("name"))
    groups = serializers.PrimaryKeyRelatedField(many=True, queryset=Group.objects.order_by("name"))
    number = serializers.IntegerField(read_only=True)
    secret = serializers.HiddenField(default="x")
    deed = serializers.FileField(style={"accept": ".pdf"})
    pictures = serializers.ListField(child=serializers.ImageField())


DISPLAY = StepDisplayMetadata(
    display_title=gettext_lazy("Your place"),
    field_groups=[FieldGroup(display_title="All", field_names=("name", "kind"))],
    field_display_configs=[
        FieldDisplayConfig("name", display_component="Fancy", display_help_text="Be brief."),
        FieldDisplayConfig("group", filter_queryset={"name__startswith": "a"}),
    ],
)


@pytest.fixture
def place(workflows):
    @workflow("place")
    class Place:
        @statezero_action(name="describe_place", serializer=PlaceSerializer, display=DISPLAY)
        @step(start=True)
        def describe(self, **fields):
            return complete()

    for name in ("anna", "bert", "arno"):
        Group.objects.create(name=name)
    return engine.start(Place)


def test_the_schema_tells_each_fields_type_limits_and_texts(forms, place):
    answer = forms.get("actions/describe_place/").json()
    fields = answer["fields"]
    assert (answer["action_name"], answer["title"]) == ("describe_place", "Describe place")
    assert list(fields) == [name for name in PlaceSerializer().fields if name not in ("number", "secret")]
    assert fields["name"] == {
        "type": "string",
        "format": None,
        "label": "Name",
        "help_text": "As on the door. Be brief.",
        "required": True,
        "nullable": False,
        "default": None,
        "choices": None,
        "accept": None,
        "multiline": False,
        "component": "Fancy",
        "filter_queryset": None,
        "max_length": 20,
        "allow_blank": False,
    }
    types = {name: (field["type"], field["format"]) for name, field in fields.items()}
    assert types == {
        "name": ("string", None),
        "story": ("string", None),
        "kind": ("string", None),
        "email": ("string", "email"),
        "opened": ("string", "date"),
        "rooms": ("integer", None),
        "price": ("number", "decimal"),
        "pets": ("boolean", None),
        "tags": ("array", None),
        "colours": ("array", None),
        "group": ("string", None),
        "groups": ("array", None),
        "deed": ("string", "file"),
        "pictures": ("array", None),
    }
    assert (fields["deed"]["accept"], fields["pictures"]["accept"]) == (".pdf", None)
    assert (fields["pictures"]["items"]["format"], fields["pictures"]["items"]["accept"]) == ("file", "image/*")
    assert fields["story"]["multiline"]
    assert (fields["rooms"]["min_value"], fields["rooms"]["max_value"]) == (1, 9)
    assert (fields["kind"]["default"], fields["kind"]["required"]) == ("h", False)
    assert fields["tags"]["items"]["max_length"] == 5
    assert fields["opened"]["nullable"]


def test_choices_are_values_with_labels_and_relations_are_filtered(forms, place):
    fields = forms.get(f"runs/{place.pk}/form/").json()["fields"]
    assert fields["kind"]["choices"] == [{"value": "h", "label": "House"}, {"value": "b", "label": "Boat"}]
    assert [choice["label"] for choice in fields["groups"]["choices"]] == ["anna", "arno", "bert"]
    assert [choice["label"] for choice in fields["group"]["choices"]] == ["anna", "arno"]
    assert fields["group"]["filter_queryset"] == {"name__startswith": "a"}


def test_more_related_rows_than_a_select_can_show_are_not_listed(forms, place, monkeypatch):
    monkeypatch.setattr(schema, "MOST_CHOICES", 2)
    fields = forms.get(f"runs/{place.pk}/form/").json()["fields"]
    assert fields["groups"]["choices"] is None
    assert len(fields["group"]["choices"]) == 2


def test_an_actions_own_display_is_the_steps(forms, place):
    display = forms.get("actions/describe_place/").json()["display"]
    assert display.items() <= forms.get(f"runs/{place.pk}/").json()["step_display"].items()
    assert display["display_title"] == "Your place"
    assert display["field_groups"][0]["field_names"] == ["name", "kind"]


def test_the_form_of_a_run_is_its_actions_schema(forms, place, review):
    of_run, of_action = (forms.get(path).json() for path in (f"runs/{place.pk}/form/", "actions/describe_place/"))
    for name in ("group", "groups"):
        assert of_action["fields"][name].pop("choices") is None, "without a run nobody may post it yet"
        assert of_run["fields"][name].pop("choices")
    assert of_run == of_action
    forms.post("submit_review", review, **GOOD)
    gone = forms.get(f"runs/{review.pk}/form/")
    assert (gone.status_code, gone.json()["type"]) == (409, "FormNotOpen")


def test_a_guarded_action_does_not_tell_its_choices(forms, workflows):
    @workflow("guarded")
    class Guarded:
        @statezero_action(name="guarded", permissions=IsAuthenticated)
        @step(start=True)
        def ask(self, group: Group):
            return complete()

    run = engine.start(Guarded)
    assert forms.get("actions/guarded/").status_code == 403
    assert forms.get(f"runs/{run.pk}/form/").status_code == 403
    assert forms.get("actions/nonsense/").status_code == 404


def test_a_fault_of_the_declaration_is_told_to_developers(forms, workflows, caplog):
    @workflow("unhinted")
    class Unhinted:
        @statezero_action(name="unhinted")
        @step(start=True)
        def ask(self, thing):
            return complete()

    assert forms.get("actions/unhinted/").json()["detail"] == "Internal server error"
    assert "no type hint" in caplog.text
    with override_settings(DEBUG=True):
        assert "no type hint" in forms.get("actions/unhinted/").json()["detail"]


def test_the_users_own_serializer_class_is_left_alone():
    assert "workflow_run_id" not in PlaceSerializer().fields


class GroupSerializer(serializers.ModelSerializer):
    class Meta:
        model = Group
        fields = ["name"]


def test_a_model_serializer_may_describe_a_form(workflows, db):
    @workflow("naming")
    class Naming:
        @statezero_action(name="name_group", serializer=GroupSerializer)
        @step(start=True)
        def ask(self, name):
            Group.objects.create(name=name)
            return complete()

    from rest_framework.test import APIClient

    run = engine.start(Naming)
    for base in ("/forms/",):
        assert Forms(base, APIClient()).post("name_group", run, name="new").status_code == 200
    assert Group.objects.get().name == "new"
