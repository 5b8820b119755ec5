"""A serializer made of a step's type hints has the field that a Django developer expects of each."""

import datetime as dt
import uuid
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Union

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import UploadedFile
from django.db import models
from pydantic import BaseModel, EmailStr
from rest_framework import serializers

from django_ai.automation.workflows.exceptions import DeclarationError
from django_ai.automation.workflows.http.hints import serializer_of
from django_ai.automation.workflows.http.schema import default_of


class Colour(Enum):
    RED = "r"
    DARK_BLUE = "b"


class Size(models.TextChoices):
    SMALL = "s", "Rather small"


class Address(BaseModel):
    city: str


def only_field(hint: Any):
    def function(self, value): ...

    function.__annotations__["value"] = hint
    return serializer_of(function)().fields["value"]


@pytest.mark.parametrize(
    ("hint", "field"),
    [
        (str, serializers.CharField),
        (int, serializers.IntegerField),
        (float, serializers.FloatField),
        (bool, serializers.BooleanField),
        (Decimal, serializers.DecimalField),
        (dt.date, serializers.DateField),
        (dt.datetime, serializers.DateTimeField),
        (dt.time, serializers.TimeField),
        (dt.timedelta, serializers.DurationField),
        (uuid.UUID, serializers.UUIDField),
        (UploadedFile, serializers.FileField),
        (EmailStr, serializers.EmailField),
        (list, serializers.ListField),
        (dict, serializers.DictField),
        (dict[str, int], serializers.DictField),
        (Any, serializers.JSONField),
        (Annotated[int, "years"], serializers.IntegerField),
        (Literal["a", "b"], serializers.ChoiceField),
        (Group, serializers.PrimaryKeyRelatedField),
        (list[Group], serializers.ManyRelatedField),
    ],
)
def test_each_hint_has_its_field(hint, field):
    made = only_field(hint)
    assert type(made) is field
    assert (made.required, made.allow_null) == (True, False)


@pytest.mark.parametrize("hint", [int | None, Union[int, None]])  # noqa: UP007
def test_what_may_be_none_may_be_left_out(hint):
    field = only_field(hint)
    assert (type(field), field.required, field.allow_null) == (serializers.IntegerField, False, True)


def test_a_default_makes_a_field_optional():
    def function(self, word: str = "none", many: list[int] | None = None): ...

    serializer = serializer_of(function)(data={"word": ""})
    assert serializer.is_valid()
    assert serializer.validated_data == {"word": "", "many": None}


def test_the_items_of_a_list_have_their_own_field():
    assert type(only_field(list[EmailStr]).child) is serializers.EmailField


def test_a_step_receives_members_of_its_enum():
    field = only_field(Colour)
    assert field.run_validation("b") is Colour.DARK_BLUE
    assert dict(field.choices) == {"r": "Red", "b": "Dark blue"}
    assert field.to_representation(Colour.RED) == "r"
    with pytest.raises(serializers.ValidationError):
        field.run_validation("x")
    assert dict(only_field(Size).choices) == {"s": "Rather small"}


def test_a_step_receives_pydantic_models_and_their_faults_have_a_place():
    field = only_field(Address)
    assert field.run_validation({"city": "Rome"}) == Address(city="Rome")
    with pytest.raises(serializers.ValidationError) as fault:
        field.run_validation({})
    assert list(fault.value.detail) == ["city"]


def test_the_request_and_open_ended_parameters_are_nobodys_to_post():
    def function(self, word: str, request, *rest: int, **more: int): ...

    assert list(serializer_of(function)().fields) == ["word"]


@pytest.mark.parametrize("hint", [int | str, object, "NoSuchType", type(None)])
def test_a_hint_without_a_field_asks_for_a_serializer(hint):
    with pytest.raises(DeclarationError, match=r"(?i)give @statezero_action a serializer"):
        only_field(hint)


def test_a_parameter_without_a_hint_asks_for_a_serializer():
    def function(self, value): ...

    with pytest.raises(DeclarationError, match="no type hint"):
        serializer_of(function)


class Place(BaseModel):
    town: str = "Rome"


DEFAULTS = [
    (str, "a", "a"),
    (int, 1, 1),
    (Decimal, Decimal("1.5"), "1.5"),
    (dt.date, dt.date(2027, 1, 4), "2027-01-04"),
    (dt.timedelta, dt.timedelta(hours=1), "01:00:00"),
    (uuid.UUID, uuid.UUID(int=1), str(uuid.UUID(int=1))),
    (Colour, Colour.RED, "r"),
    (list[int], [1], [1]),
    (list[Colour], [Colour.RED], ["r"]),
    (dict[str, int], {"a": 1}, {"a": 1}),
    (Place, Place(), {"town": "Rome"}),
    (list[Place], [Place()], [{"town": "Rome"}]),
]


@pytest.mark.parametrize(("hint", "default", "described"), DEFAULTS)
def test_a_default_is_described_as_json_has_it(hint, default, described):
    def function(self, value=default): ...

    function.__annotations__["value"] = hint
    assert default_of(serializer_of(function)().fields["value"]) == described


@pytest.mark.parametrize("hint", [item[0] for item in DEFAULTS] + [Any, bool, float, dt.time, Group, list[Group], dict])
@pytest.mark.parametrize("is_said", [True, False])
def test_the_default_none_makes_a_field_nullable_whether_the_hint_says_so_or_not(hint, is_said):
    def function(self, value=None): ...

    function.__annotations__["value"] = hint | None if is_said and hint is not Any else hint
    field = serializer_of(function)().fields["value"]
    assert (default_of(field), field.required, field.allow_null) == (None, False, True)
    assert field.run_validation(None) is None
    assert field.run_validation(serializers.empty) is None


def test_a_literal_with_none_is_a_choice_that_may_be_left_out():
    field = only_field(Literal["a", None])  # noqa: PYI061
    assert (dict(field.choices), field.required, field.allow_null) == ({"a": "a"}, False, True)
