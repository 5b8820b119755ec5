"""What is stored of a context is what is read, whatever its fields are called and made of; else it is refused."""

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    PrivateAttr,
    SecretStr,
    create_model,
    field_serializer,
    field_validator,
    model_validator,
)
from typing_extensions import TypedDict

from django_ai.automation.workflows.exceptions import ContextInvalid
from django_ai.automation.workflows.machine.context import edited, load, merge, replace
from django_ai.automation.workflows.machine.keys import all_keys, stored_fields
from django_ai.automation.workflows.machine.storing import store

NEW_YORK = ZoneInfo("America/New_York")


def dump(context):
    return store(context).data


def carried(context):
    """Return a context as the next step reads it."""
    return load(type(context), dump(context))


def declared(**field):
    return create_model("Context", total=(int, Field(0, **field)), other=(str, "kept"))


RENAMED = {
    "an alias": declared(alias="Total"),
    "a serialization alias": declared(serialization_alias="grandTotal"),
    "a validation alias": declared(validation_alias="gross"),
    "two different aliases": declared(validation_alias="gross", serialization_alias="net"),
    "choices": declared(validation_alias=AliasChoices("gross", "net")),
    "choices with a path": declared(validation_alias=AliasChoices("gross", AliasPath("bill", "total"))),
    "a path": declared(validation_alias=AliasPath("bill", 0, "total")),
    "a path that begins at another field": declared(validation_alias=AliasPath("other", 0)),
    "the name of another field": declared(serialization_alias="other"),
    "a path that begins at itself": declared(validation_alias=AliasPath("total", 0)),
}


def configured(**config):
    class Context(BaseModel):
        model_config = ConfigDict(alias_generator=str.title, **config)
        total: int = 0

    return Context


CONFIGURED = {
    "a generator": configured(),
    "a generator, by name too": configured(populate_by_name=True),
    "a generator, by name alone": configured(validate_by_name=True, validate_by_alias=False),
    "a generator, both": configured(validate_by_name=True, validate_by_alias=True),
    "a generator, written by alias": configured(serialize_by_alias=True),
}


@pytest.mark.parametrize("kind", RENAMED | CONFIGURED)
def test_a_renamed_field_is_read_back(kind):
    context = (RENAMED | CONFIGURED)[kind]().model_copy(update={"total": 12})
    assert carried(context).total == 12


@pytest.mark.parametrize("kind", RENAMED | CONFIGURED)
def test_a_signal_an_edit_and_a_command_name_a_renamed_field_by_its_name(kind):
    context = carried((RENAMED | CONFIGURED)[kind]().model_copy(update={"total": 12}))
    assert merge(context, {"total": "13"}).total == 13
    assert replace(context, {"total": 13}).total == 13
    assert edited(type(context), dump(context), {"total": 13}).total == 13
    assert stored_fields(type(context), dump(context))["total"] == 12


def test_a_payload_may_use_any_alias_that_pydantic_reads():
    context = RENAMED["choices with a path"]()
    assert merge(context, {"gross": 5}).total == 5
    assert merge(context, {"bill": {"total": 6}}).total == 6
    assert all_keys("total", type(context).model_fields["total"]) == {"total", "gross", "bill"}


class Swapped(BaseModel):
    first: int = Field(0, alias="second")
    second: int = Field(0, alias="third")


def test_fields_that_have_one_anothers_names_are_not_mixed_up():
    context = carried(Swapped().model_copy(update={"first": 1, "second": 2}))
    assert (context.first, context.second) == (1, 2)
    assert edited(Swapped, dump(context), {"second": 5}).model_dump() == {"first": 1, "second": 5}
    assert stored_fields(Swapped, dump(context)) == {"first": 1, "second": 2}


@pytest.mark.parametrize(("kind", "stored"), [("an alias", "Total"), ("a generator", "Total"), ("choices", "total")])
def test_an_alias_is_stored_where_pydantic_writes_the_one_that_it_reads(kind, stored):
    context = (RENAMED | CONFIGURED)[kind]().model_copy(update={"total": 12})
    assert dump(context)[stored] == 12


class Inner(BaseModel):
    price: int = Field(0, alias="Price")


class Outer(BaseModel):
    inner: Inner = Inner()
    total: int = Field(0, serialization_alias="grandTotal")


@pytest.mark.parametrize(
    "row",
    [
        {"inner": {"Price": 7}, "grandTotal": 12},  # as an earlier release wrote it
        {"inner": {"price": 7}, "total": 12},
    ],
)
def test_a_row_of_an_earlier_release_is_read(row):
    context = load(Outer, row)
    assert (context.inner.price, context.total) == (7, 12)
    assert edited(Outer, row, {"total": 1}).total == 1
    assert stored_fields(Outer, row)["total"] == 12


@dataclass
class Point:
    x: Annotated[int, Field(serialization_alias="X")] = 0


class Size(TypedDict):
    width: Annotated[int, Field(serialization_alias="W")]


class Composed(BaseModel):
    point: Point = Point()
    size: Size = {"width": 1}


def test_the_fields_of_dataclasses_and_typed_dicts_are_read_back_too():
    context = carried(Composed(point=Point(3), size={"width": 4}))
    assert (context.point.x, context.size["width"]) == (3, 4)


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    due: datetime
    ticket: UUID
    labels: set[str] = set()
    pair: tuple[int, str] = (1, "a")
    wait: timedelta = timedelta(0)
    amount: Decimal = Decimal(0)
    raw: bytes = b""
    by_day: dict[date, int] = {}
    parsed: Json[list[int]] = [1]


STRICT = Strict(
    due=datetime(2026, 1, 1, tzinfo=UTC), ticket=UUID(int=5), labels={"a"}, by_day={date(2026, 1, 1): 2}, parsed="[2]"
)


def test_a_strict_context_is_read_from_its_own_json():
    assert carried(STRICT) == STRICT


def test_a_signal_brings_json_to_a_strict_context_and_a_command_brings_values():
    assert merge(STRICT, {"due": "2027-01-01T00:00:00Z", "labels": ["b"]}).labels == {"b"}
    assert replace(STRICT, {"labels": {"c"}}).labels == {"c"}
    with pytest.raises(ContextInvalid, match="labels"):
        dump(replace(STRICT, {"labels": ["c"]}))


def test_a_value_that_a_command_brings_becomes_what_pydantic_makes_of_it():
    class Parsed(BaseModel):
        parsed: Json[list[int]] = [1]
        count: int = 0

    assert dump(replace(Parsed(parsed="[2]"), {"count": "12"})) == {"parsed": "[2]", "count": 12}
    with pytest.raises(ContextInvalid, match="count"):
        dump(replace(Parsed(), {"count": "many"}))


class Vehicle(BaseModel):
    plate: str = ""


class Lorry(Vehicle):
    axles: int = 2


class Colour(Enum):
    RED = "red"


class Doubled(BaseModel):
    boxes: int = 0

    @field_validator("boxes")
    @classmethod
    def twice(cls, value):
        return value * 2


class Counted(BaseModel):
    reads: int = 0

    @model_validator(mode="after")
    def count(self):
        self.reads += 1
        return self


class Garage(BaseModel):
    vehicle: Vehicle = Vehicle()
    vehicles: list[Vehicle] = []
    anything: Any = None
    note: str = Field("", exclude=True)
    score: float | None = None
    _seen: int = PrivateAttr(0)


class Revalidating(BaseModel):
    model_config = ConfigDict(revalidate_instances="always")
    vehicle: Vehicle = Vehicle()


def private(value):
    garage = Garage()
    garage._seen = value
    return garage


REFUSED = {
    "a subclass": (Garage(vehicle=Lorry()), r"vehicle: a Lorry would be a Vehicle"),
    "a subclass in a list": (Garage(vehicles=[Vehicle(), Lorry()]), r"vehicles\.1: a Lorry"),
    "a subclass that pydantic would cut down": (
        Revalidating.model_construct(vehicle=Lorry()),
        r"vehicle: a Lorry would be a Vehicle",
    ),
    "an excluded field": (Garage(note="call back"), r"note: another str \(is it excluded"),
    "a private attribute": (private(3), r"_seen is a private attribute"),
    "a validator that doubles": (Doubled.model_construct(boxes=3), r"boxes: another int"),
    "a validator that counts": (Counted(), r"reads: another int"),
    "a tuple in Any": (Garage(anything=(1, 2)), r"anything: a tuple would be a list"),
    "a set in Any": (Garage(anything={1}), r"anything: a set would be a list"),
    "a datetime in Any": (Garage(anything={"at": datetime(2026, 1, 1, tzinfo=UTC)}), r"anything\.at: a datetime"),
    "a decimal in Any": (Garage(anything=Decimal("1.5")), r"anything: a Decimal would be a str"),
    "an enum in Any": (Garage(anything=Colour.RED), r"anything: a Colour would be a str"),
    "a model in Any": (Garage(anything=Vehicle()), r"anything: a Vehicle would be a dict"),
    "keys in Any": (Garage(anything={1: "a"}), r"anything: another dict"),
    "NaN": (Garage(score=math.nan), r"score: a float would be a NoneType"),
    "NaN in Any": (Garage(anything=[math.inf]), r"anything\.0"),
    "NUL": (Garage(anything={"a": ["x\0"]}), r"anything\.a\.0: a text with the character NUL"),
    "half a pair": (Garage(vehicle=Vehicle(plate="\udc00")), r"as JSON \(vehicle\): "),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_would_be_read_back_changed_is_refused_and_its_place_is_named(kind):
    context, message = REFUSED[kind]
    with pytest.raises(ContextInvalid, match=message):
        dump(context)


class Usual(BaseModel):
    count: int = 0
    names: list[str] = []
    due: date | None = None
    vehicle: Vehicle = Vehicle()
    code: Annotated[str, Field(max_length=3)] = ""

    @field_validator("code")
    @classmethod
    def upper(cls, value):
        return value.upper()


@pytest.mark.parametrize(
    ("field", "left", "read"),
    [
        ("count", "12", 12),
        ("count", True, 1),
        ("names", ("a", "b"), ["a", "b"]),
        ("due", "2026-01-01", date(2026, 1, 1)),
        ("vehicle", {"plate": "K 7"}, Vehicle(plate="K 7")),
        ("code", "abc", "ABC"),
    ],
)
def test_an_assigned_value_becomes_what_pydantic_makes_of_it(field, left, read):
    context = Usual()
    setattr(context, field, left)
    assert getattr(carried(context), field) == read


class Opaque:
    """A value whose equality is its identity."""

    def __init__(self, text):
        self.text = text


class Odd(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True, ser_json_inf_nan="strings")
    at: datetime | None = None
    score: float = 0.0
    opaque: Any = None
    secret: SecretStr = SecretStr("")
    _client: Any = PrivateAttr(default_factory=object)


@pytest.mark.parametrize(
    "values",
    [
        {"at": datetime(2026, 11, 1, 1, 30, tzinfo=NEW_YORK)},  # an hour that comes twice
        {"at": datetime(2026, 11, 1, 1, 30, fold=1, tzinfo=NEW_YORK)},
        {"at": datetime(2026, 11, 1, 1, 30)},  # noqa: DTZ001
        {"score": math.nan},
        {"secret": SecretStr("**********")},
        {"opaque": [None, True, 1.5, {"a": []}, ""]},
    ],
)
def test_a_value_that_is_read_back_is_stored(values):
    context = carried(Odd(**values))
    for name, value in values.items():
        read = getattr(context, name)
        assert repr(read) == repr(value) or read.timestamp() == value.timestamp()


class Holder(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    opaque: Opaque

    @field_validator("opaque", mode="before")
    @classmethod
    def read(cls, value):
        return Opaque(value["text"]) if isinstance(value, dict) else value

    @field_serializer("opaque")
    def write(self, value):
        return {"text": value.text[: self.most]}

    most: int = 9


def test_values_that_are_equal_to_themselves_alone_are_compared_by_what_they_hold():
    assert carried(Holder(opaque=Opaque("x"))).opaque.text == "x"
    with pytest.raises(ContextInvalid, match=r"opaque\.text: another str"):
        dump(Holder(opaque=Opaque("xyz"), most=2))


def test_a_number_of_a_row_that_json_does_not_know_is_still_read():
    assert math.isnan(load(Garage, {"score": math.nan}).score)


def test_a_text_of_a_row_that_is_no_unicode_is_still_read():
    assert load(Vehicle, {"plate": "\udc00"}).plate == "\udc00"


def test_a_row_that_is_nested_deeper_than_pydantic_parses_is_still_read():
    deep: Any = "end"
    for _ in range(300):
        deep = [deep]
    assert load(Garage, {"anything": deep}).anything == deep


class Listed(BaseModel):
    def model_dump_json(self, **options):
        return "[]"


def test_a_context_that_is_no_object_is_refused():
    with pytest.raises(ContextInvalid, match="Listed"):
        dump(Listed())


def test_the_size_of_a_context_is_that_of_its_json():
    assert store(Vehicle(plate="ä")).size == len('{"plate":"ä"}'.encode())


class Tone(StrEnum):
    LOW = "low"
    HIGH = "high"


class Everything(BaseModel):
    text: str = ""
    count: int = 0
    ratio: float = 0.0
    amount: Decimal = Decimal(0)
    at: datetime | None = None
    day: date | None = None
    pause: timedelta = timedelta(0)
    number: UUID | None = None
    tone: Tone = Tone.LOW
    tags: set[str] = set()
    pairs: dict[int, tuple[int, str]] = {}
    mixed: int | str | None = None
    raw: Any = None


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
# Before, offsets have seconds, which pydantic does not write.
SECONDS_OFF = datetime(1900, 1, 1)  # noqa: DTZ001
RAW = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | TEXTS,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(TEXTS, part, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    st.builds(
        Everything,
        text=TEXTS,
        count=st.integers(-(2**70), 2**70),
        ratio=st.floats(allow_nan=False, allow_infinity=False),
        amount=st.decimals(allow_nan=False, allow_infinity=False),
        at=st.none() | st.datetimes(SECONDS_OFF, timezones=st.sampled_from([UTC, NEW_YORK])),
        day=st.none() | st.dates(),
        pause=st.timedeltas(timedelta(days=-9999), timedelta(days=9999)),
        number=st.none() | st.uuids(),
        tone=st.sampled_from(Tone),
        tags=st.sets(TEXTS, max_size=3),
        pairs=st.dictionaries(st.integers(-9, 9), st.tuples(st.integers(), TEXTS), max_size=3),
        mixed=st.none() | st.integers() | TEXTS,
        raw=RAW,
    )
)
def test_any_context_is_read_back_as_it_was_left(context):
    read = carried(context)
    assert (read.at and read.at.timestamp()) == (context.at and context.at.timestamp())
    assert read.model_copy(update={"at": None}) == context.model_copy(update={"at": None})


def test_what_a_model_read_of_a_payload_is_merged_as_it_was_read():
    class Context(BaseModel):
        key: SecretStr = SecretStr("")
        due: date | None = None
        vehicle: Vehicle = Vehicle()

    read = {"key": SecretStr("swordfish"), "due": date(2026, 1, 1), "vehicle": Vehicle(plate="K 7")}
    assert dict(merge(Context(), read)) == read
