"""A correlation key is made of names of context fields, never of anything that a template could reach."""

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, Secret, SecretBytes, SecretStr
from typing_extensions import TypedDict

from django_ai.automation.workflows.exceptions import InvalidCommand
from django_ai.automation.workflows.machine.commands import Wait, WaitKind
from django_ai.automation.workflows.machine.correlation import check_wait, correlation_key, fields_of

Marked = Annotated[str, Field(json_schema_extra={"sensitive": True})]


class Inner(BaseModel):
    pin: Marked = "1234"


class Items(RootModel[list[Marked]]):
    pass


@dataclass
class Account:
    pin: Marked = "1234"


class Card(TypedDict):
    pin: Marked


class Pair(NamedTuple):
    pin: Marked
    name: str


def _mark(schema):
    schema["sensitive"] = True


class Hides(BaseModel):
    secret_text: SecretStr = SecretStr("hush")
    secret_bytes: SecretBytes = SecretBytes(b"hush")
    secret_number: Secret[int] | None = None
    marked: Marked = "hush"
    marked_by_a_function: str = Field("hush", json_schema_extra=_mark)
    listed: list[SecretStr] = []
    mapped: dict[str, Marked] = {}
    nested: Inner = Inner()
    account: Account = Field(default_factory=Account)
    card: Card | None = None
    pair: Pair | None = None
    items: Items | None = None


class Shows(BaseModel):
    order_id: int = 7
    sensitive: str = "no secret by its name"
    write_only: dict[str, int] = {"sensitive": 1}
    anything: Any = None


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


def waiting(correlate):
    return Wait(WaitKind.SIGNAL, "paid", correlate=correlate)


@pytest.mark.parametrize(
    ("template", "names"), [("{order_id}", ["order_id"]), ("a-{b}-{c}{{d}}", ["b", "c"]), ("plain", []), ("", [])]
)
def test_plain_names_are_taken(template, names):
    assert fields_of(template) == names


@pytest.mark.parametrize(
    "template",
    [
        "{order.id}",
        "{order[id]}",
        "{order.__class__.__init__.__globals__}",
        "{order!r}",
        "{order:>1000000000}",
        "{order:{width}}",
        "{}",
        "{0}",
        "{ order}",
        "{order",
        "order}",
        "{a-b}",
    ],
)
def test_anything_but_a_name_in_braces_is_refused(template):
    with pytest.raises(InvalidCommand, match="correlate="):
        fields_of(template)


def test_a_field_that_the_context_does_not_declare_is_refused_and_the_nearest_is_named():
    with pytest.raises(InvalidCommand, match=r"does not declare 'order'\. Did you mean 'order_id'\?"):
        check_wait(waiting("{order}"), Shows)
    check_wait(waiting("{order}"), Open)


@pytest.mark.parametrize("name", list(Hides.model_fields))
def test_a_secret_never_becomes_a_key(name):
    with pytest.raises(InvalidCommand, match="is a secret or holds one"):
        check_wait(waiting(f"{{{name}}}"), Hides)


@pytest.mark.parametrize("name", list(Shows.model_fields))
def test_other_fields_may_be_keys(name):
    check_wait(waiting(f"{{{name}}}"), Shows)


@pytest.mark.parametrize("value", [SecretStr("hush"), [SecretStr("hush")], {"a": (SecretStr("hush"),)}, Inner()])
def test_a_secret_in_a_field_of_any_type_does_not_become_a_key(value):
    with pytest.raises(InvalidCommand, match="is a secret or holds one"):
        correlation_key(waiting("{anything}"), Shows(anything=value))


def test_a_value_is_not_taken_for_a_template():
    assert correlation_key(waiting("{anything}"), Shows(anything="{order_id}")) == "{order_id}"


def test_a_field_that_an_open_context_lacks_is_named():
    with pytest.raises(InvalidCommand, match="it has no 'order_id'"):
        correlation_key(waiting("{order_id}"), Open())
