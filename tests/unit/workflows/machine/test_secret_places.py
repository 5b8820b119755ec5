"""Secrets are found in whatever form a Context declares them, and what is not declared is taken for one."""

import dataclasses
from datetime import date
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import pytest
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    SerializeAsAny,
    create_model,
    field_serializer,
)
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import core_schema
from typing_extensions import TypedDict

from django_ai.automation.workflows.machine.secret_places import MASK, UNDECLARED, masked, places_of, unseen

MARKED = {"json_schema_extra": {"sensitive": True}}
Marked = Annotated[str, Field(**MARKED)]
T = TypeVar("T")


@dataclasses.dataclass
class PlainClass:
    pin: SecretStr
    name: str = ""


class Typed(TypedDict):
    pin: SecretStr
    name: str


class Tuple(NamedTuple):
    pin: SecretStr
    name: str


class Keys(BaseModel):
    pin: SecretStr = SecretStr("")
    name: str = ""


class Listed(RootModel[list[SecretStr]]):
    pass


class Generically(BaseModel, Generic[T]):
    held: T


class Wholly(BaseModel):
    model_config = ConfigDict(json_schema_extra={"sensitive": True})
    name: str = ""


class Tree(BaseModel):
    pin: SecretStr = SecretStr("")
    children: list["Tree"] = []


class Day(Secret[date]):
    def _display(self):
        return "****/**/**"


class Numbered(BaseModel):
    kind: Literal["numbered"] = "numbered"
    pin: int = 0


def shown(kind, value, **options):
    """Return what is shown of a value in a field of this kind."""
    context = create_model("Context", held=(kind, Field(..., **options)))
    return masked(places_of(context), {"held": value})["held"]


@pytest.mark.parametrize(
    "kind",
    [
        SecretStr,
        SecretBytes,
        Secret[str],
        Day,
        SecretStr | None,
        Marked,
        Marked | None,
        Annotated[SecretStr, Field(min_length=1)],
        Wholly,
        dict[SecretStr, int],
    ],
)
def test_a_secret_is_masked_as_a_whole(kind):
    assert shown(kind, "1234") == MASK
    assert shown(kind, {"name": "x"}) == MASK


@pytest.mark.parametrize("options", [MARKED, {"json_schema_extra": lambda schema: schema.update(sensitive=True)}])
def test_a_marked_field_is_masked_whatever_its_type(options):
    assert shown(str, "1234", **options) == shown(list[int], [1], **options) == shown(Any, 5, **options) == MASK


@pytest.mark.parametrize("kind", [PlainClass, Typed, Keys, SerializeAsAny[Keys], Keys | int, Keys | None])
def test_a_secret_in_an_object_is_masked_and_what_is_beside_it_shown(kind):
    assert shown(kind, {"pin": "1234", "name": "Ada"}) == {"pin": MASK, "name": "Ada"}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (Tuple, ["1234", "Ada"], [MASK, "Ada"]),
        (tuple[int, SecretStr], [1, "1234"], [1, MASK]),
        (tuple[SecretStr, ...], ["1", "2"], [MASK, MASK]),
        (list[SecretStr], ["1234"], [MASK]),
        (set[SecretStr], ["1234"], [MASK]),
        (list[Marked], ["1234"], [MASK]),
        (dict[str, Marked], {"a": "1234"}, {"a": MASK}),
        (dict[str, Keys], {"a": {"pin": "1", "name": "x"}}, {"a": {"pin": MASK, "name": "x"}}),
        (dict[Annotated[str, Field(pattern="^a")], SecretStr], {"a": "1234"}, {"a": MASK}),
        (Listed, ["1234"], [MASK]),
        (list[Listed], [["1234"]], [[MASK]]),
        (Generically[SecretStr], {"held": "1234"}, {"held": MASK}),
        (Generically[int], {"held": 1234}, {"held": 1234}),
        (Tree, {"pin": "1", "children": [{"pin": "2"}]}, {"pin": MASK, "children": [{"pin": MASK}]}),
        (Keys | Numbered, {"kind": "numbered", "pin": 1234}, {"kind": "numbered", "pin": MASK}),
        (list[Keys | None], [None, {"pin": "1"}], [None, {"pin": MASK}]),
    ],
)  # fmt: skip
def test_a_secret_is_masked_however_deep(kind, value, expected):
    assert shown(kind, value) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"alias": "theHeld"},
        {"serialization_alias": "theHeld"},
        {"validation_alias": "theHeld"},
        {"validation_alias": AliasChoices("other", "theHeld")},
        {"validation_alias": AliasPath("theHeld", "inner")},
    ],
)
def test_a_secret_is_masked_under_each_of_its_names(options):
    context = create_model("Context", held=(SecretStr, Field(SecretStr(""), **options)))
    assert masked(places_of(context), {"held": "1", "theHeld": "2"}) == {"held": MASK, "theHeld": MASK}


def test_a_serializer_that_reveals_a_secret_does_not_unmask_it():
    class Context(BaseModel):
        pin: SecretStr = Field(SecretStr(""), serialization_alias="thePin")

        @field_serializer("pin")
        def _reveal(self, pin) -> str:
            return pin.get_secret_value()

    assert masked(places_of(Context), {"pin": "1", "thePin": "2"}) == {"pin": MASK, "thePin": MASK}


def test_fields_of_a_subclass_which_the_type_does_not_declare_are_masked():
    assert shown(SerializeAsAny[Keys], {"name": "Ada", "added_by_the_subclass": 1})["added_by_the_subclass"] == MASK


def test_what_the_class_no_longer_declares_is_masked():
    assert masked(places_of(Keys), {"name": "Ada", "old_pin": "1234"}) == {"name": "Ada", "old_pin": MASK}


@pytest.mark.parametrize(("kind", "value"), [(int, {"pin": "1"}), (str, ["1234"]), (Keys, "1234"), (Listed, "1234")])
def test_a_value_of_another_shape_than_is_declared_now_is_masked(kind, value):
    assert "1" not in str(shown(kind, value))


def test_json_in_a_text_is_masked_as_a_whole():
    assert shown(Json[Keys], '{"pin": "1"}') == MASK
    assert shown(Json[list[int]], "[1]") == "[1]"


def test_without_a_class_or_a_schema_of_it_all_is_masked():
    class Broken(BaseModel):
        name: str = Field("", json_schema_extra=lambda schema: schema["no such key"])

    assert places_of(None) is places_of(Broken) is UNDECLARED
    assert masked(UNDECLARED.key("name"), "Ada") == MASK


def test_a_field_that_the_schema_skips_is_masked():
    assert shown(SkipJsonSchema[str], "1234") == MASK


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (str, "x"),
        (int, 5),
        (bool, False),
        (date, "2030-01-01"),
        (Literal["a"], "a"),
        (Any, {"pin": ["1234"]}),
        (dict, {"pin": "1234"}),
        (list, [{"pin": 1}]),
        (dict[str, Any], {"a": {"b": 1}}),
        (SecretStr, ""),
        (SecretStr, None),
        (SecretStr, {"__absent__": True}),
        (SecretStr, {"__omitted__": 5000}),
    ],
)
def test_what_is_not_secret_is_shown(kind, value):
    assert shown(kind, value) == value


def test_a_value_that_looks_like_one_that_was_omitted_is_masked():
    assert shown(SecretStr, {"__omitted__": "1234"}) == MASK


def test_extra_fields_are_shown_where_the_class_allows_them():
    context = create_model("Context", __config__=ConfigDict(extra="allow"), pin=(SecretStr, SecretStr("")))
    assert masked(places_of(context), {"pin": "1", "more": 2}) == {"pin": MASK, "more": 2}


@pytest.mark.parametrize(("kind", "expected"), [(int, False), (Any, False), (Tree, True), (list[Tuple], True)])
def test_a_context_says_whether_it_holds_secrets(kind, expected):
    assert places_of(create_model("Context", held=(kind, ...))).holds_secrets is expected


def test_a_value_that_is_nested_too_deeply_is_masked():
    value = {"pin": "1"}
    for _ in range(200):
        value = {"children": [value]}
    assert "'1'" not in str(masked(places_of(Tree), value))


class Custom:
    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        return core_schema.no_info_plain_validator_function(lambda value: value)


@pytest.mark.parametrize("kind", [Any, dict, list, dict[str, Any], list[dict], Any | None, Custom, tuple[Any, int]])
def test_a_field_whose_type_does_not_say_what_is_secret_is_named(kind):
    [path] = unseen(create_model("Context", held=(kind, ...)))
    assert path.startswith("held")
    assert unseen(create_model("Context", held=(kind, Field(json_schema_extra={"sensitive": False})))) == []
    assert unseen(create_model("Context", held=(kind, Field(**MARKED)))) == []


@pytest.mark.parametrize(
    "kind", [int, str, date, list[str], dict[str, int], Tree, Tuple, Typed, Secret[str], SecretStr]
)
def test_a_field_whose_type_says_what_is_secret_is_not_named(kind):
    assert unseen(create_model("Context", held=(kind, ...))) == []


def test_an_opaque_field_is_named_with_its_path():
    inner = create_model("Inner", extra=(Any, None))
    assert unseen(create_model("Context", held=(list[inner], ...))) == ["held[].extra"]
