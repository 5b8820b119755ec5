"""Texts are cleared of secrets, in whatever form a text has them."""

import base64
import dataclasses
import html
import json
import traceback
from collections import deque
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple
from unicodedata import normalize
from urllib.parse import quote, quote_plus

import pytest
from pydantic import BaseModel, Field, RootModel, Secret, SecretBytes, SecretStr, TypeAdapter, ValidationError

from django_ai.automation.workflows.exceptions import ContextInvalid
from django_ai.automation.workflows.machine import context as contexts
from django_ai.automation.workflows.machine.redaction import Redactor, secrets_in, told
from django_ai.automation.workflows.machine.secret_places import MASK, places_of

ODD = 'o\'clock "nine" \\ten ä€ & <b> 50%/x\ttab'
FORMS = {
    "as it is": str,
    "repr": repr,
    "repr of a repr": lambda text: repr(repr(text)),
    "repr in a list": lambda text: repr([text, "it's"]),
    "repr of bytes": lambda text: repr(text.encode()),
    "JSON": json.dumps,
    "JSON as it is": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"pin": text})),
    "repr of JSON": lambda text: repr(json.dumps({"pin": text})),
    "URL": lambda text: quote(text, safe=""),
    "URL with slashes": quote,
    "form": quote_plus,
    "HTML": html.escape,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "basic authentication": lambda text: base64.b64encode(f"user:{text}!".encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(f"u{text}".encode()).decode(),
}


@pytest.mark.parametrize("secret", ["swordfish-4711", ODD])
@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_cleared_in_each_form(form, secret):
    told_as = FORMS[form](secret)
    cleared = Redactor([secret])(f"before {told_as} after")
    assert MASK in cleared
    assert cleared.startswith("before ")
    assert cleared.endswith(" after")
    assert not any(word in cleared for word in ("sword", "4711", "clock", "nine", "ten", "b>", "tab"))


@pytest.mark.parametrize("text", ["'swordfish-...", "swor… more", "...ish-4711'", "x='sword...-4711'", "…4711"])
def test_a_shortened_secret_is_cleared(text):
    cleared = Redactor(["swordfish-4711"])(text)
    assert MASK in cleared
    assert "swor" not in cleared
    assert "4711" not in cleared


def test_the_error_of_a_validation_is_cleared_where_pydantic_shortens_the_value():
    secret = "".join(f"{number:03}x" for number in range(40))
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(list[int]).validate_python(secret)
    assert "000x" in str(caught.value)
    cleared = Redactor([secret])(str(caught.value))
    assert "000x" not in cleared
    assert "039x" not in cleared


def test_the_lines_of_a_secret_are_cleared_one_by_one():
    key = "-----BEGIN KEY-----\nAAAABBBBCCCC\n-----END KEY-----\n"
    assert "AAAABBBB" not in Redactor([key])("  | AAAABBBBCCCC")


def test_of_two_secrets_the_longer_is_cleared_first():
    assert Redactor(["secret", "secret-and-more"])("a secret-and-more") == f"a {MASK}"


@pytest.mark.parametrize("secret", ["", "abc", "   ab   "])
def test_a_secret_too_short_to_be_told_from_words_is_left(secret):
    assert Redactor([secret])("abc ab") == "abc ab"


def test_other_texts_stay_as_they_are():
    text = "Waiting... for the end… of swords"
    assert Redactor(["swordfish-4711"])(text) == text


def test_thousands_of_secrets_in_a_long_text_are_cleared():
    clear = Redactor(f"secret-number-{number}" for number in range(5_000))
    assert clear("x" * 50_000 + " secret-number-4321") == "x" * 50_000 + f" {MASK}"


@dataclasses.dataclass
class PlainClass:
    pin: SecretStr


class Tuple(NamedTuple):
    pin: SecretStr


class Listed(RootModel[list[SecretStr]]):
    pass


class Colour(Enum):
    RED = "red-as-blood"


class Context(BaseModel):
    text: SecretStr = SecretStr("")
    raw: SecretBytes = SecretBytes(b"")
    number: Secret[int] = Secret[int](0)
    marked: Any = Field(None, json_schema_extra={"sensitive": True})
    nested: PlainClass | None = None
    pair: Tuple | None = None
    listed: Listed = Listed([])
    keys: dict[SecretStr, str] = {}
    anything: Any = None
    name: str = "Ada"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"text": SecretStr("alpha")}, {"alpha"}),
        ({"raw": SecretBytes(b"alpha")}, {"alpha"}),
        ({"number": Secret[int](4711)}, {"4711"}),
        ({"marked": {"user": "alpha", "n": [Decimal("1.50"), True, None]}}, {"alpha", "1.50"}),
        ({"marked": Colour.RED}, {"red-as-blood"}),
        ({"marked": '{"pin": "alpha"}'}, {'{"pin": "alpha"}', "alpha"}),
        ({"nested": PlainClass(SecretStr("alpha"))}, {"alpha"}),
        ({"pair": Tuple(SecretStr("alpha"))}, {"alpha"}),
        ({"listed": Listed([SecretStr("alpha")])}, {"alpha"}),
        ({"anything": {"deep": [SecretStr("alpha")]}}, {"alpha"}),
        ({"anything": deque([SecretStr("alpha")]), "marked": deque(["beta"])}, {"alpha", "beta"}),
    ],
)
def test_secrets_are_found_in_a_context_as_a_step_leaves_it(fields, expected):
    context = Context.model_construct(**fields)
    assert {text for text in secrets_in(places_of(Context), context) if text not in ("", "0")} == expected


def test_secret_keys_are_found_in_what_is_stored():
    assert set(secrets_in(places_of(Context), {"keys": {"alpha": "beta"}, "name": "Ada"})) == {"alpha", "beta"}


def test_a_context_that_does_not_fit_is_told_without_its_secrets():
    class Pin(BaseModel):
        pin: int = Field(0, json_schema_extra={"sensitive": True})

    data = {"pin": "swordfish-" + "4711"}
    with pytest.raises(ContextInvalid) as caught:
        contexts.load(Pin, data)
    text = "".join(traceback.format_exception(caught.value))
    assert "swordfish-4711" not in text
    assert [field for field, _ in caught.value.faults] == ["pin"]


class Unhappy(Exception):
    def __str__(self):
        raise ValueError("no text")


def raised(error, cause=None):
    with pytest.raises(type(error)) as caught:
        raise error from cause
    return caught.value


def test_an_exception_without_a_secret_is_told_itself():
    error = raised(LookupError("no card"))
    assert told(error, Redactor(["swordfish"])) is error


def test_an_exception_with_a_secret_is_told_by_a_stand_in():
    inner = raised(KeyError("swordfish"))
    inner.add_note("with swordfish")
    error = raised(LookupError("no card"), inner)
    stand_in = told(error, Redactor(["swordfish"]))
    text = "".join(traceback.format_exception(stand_in))
    assert "swordfish" not in text
    assert "LookupError: no card" in text
    assert f"KeyError: '{MASK}'" in text
    assert f"with {MASK}" in text
    assert "in raised" in text


def fails_with_a_literal():
    {}["swordfish"]


def test_an_exception_whose_code_has_the_secret_in_it_is_told_without_its_frames():
    with pytest.raises(KeyError) as caught:
        fails_with_a_literal()
    stand_in = told(raised(LookupError("no card"), caught.value), Redactor(["swordfish"]))
    assert "swordfish" not in "".join(traceback.format_exception(stand_in))


def test_an_error_of_ours_stays_one():
    stand_in = told(raised(ContextInvalid("pin: swordfish")), Redactor(["swordfish"]))
    assert str(stand_in) == f"pin: {MASK}"
    assert type(stand_in).__qualname__ == "ContextInvalid"


def test_an_exception_that_has_no_text_is_told():
    assert type(told(raised(Unhappy(), KeyError("swordfish")), Redactor(["swordfish"]))).__name__ == "Unhappy"


def test_parts_of_many_secrets_are_cleared_beside_many_ellipses():
    clear = Redactor(f"secret number {number} is long" for number in range(500))
    assert (
        clear("secret number 47... and ... 499 is long, other ... texts") == f"{MASK}... and ...{MASK}, other ... texts"
    )


@pytest.mark.parametrize(
    ("secrets", "text"),
    [
        ([f"secret-{number}" for number in range(10_001)], "all fine"),
        (["\n".join(f"line number {number}" for number in range(10_001))], "all fine"),
        ([f"same{number}" for number in range(9_000)], "same " * 1_000),
        (["a" * 30_000 + "b"], "aaaa ... " + "a" * 20_000 + "c ... " * 900),
    ],
    ids=["many secrets", "many lines", "the same beginning", "a part of every length"],
)
def test_a_text_that_takes_too_long_to_clear_is_masked_as_a_whole(secrets, text):
    assert Redactor(secrets)(text) == MASK


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_secret_is_cleared_composed_and_decomposed(form):
    secret, other = (normalize(each, "schlüssel-ä") for each in (form, "NFC" if form == "NFD" else "NFD"))
    assert Redactor([secret])(f"no {other} here") == f"no {MASK} here"


def test_an_exception_whose_class_is_named_by_a_secret_is_told_without_it():
    kind = type("swordfish_4711", (Exception,), {})
    shown = told(kind("no"), Redactor(["swordfish_4711"]))
    assert "".join(traceback.format_exception_only(shown)) == f"{kind.__module__}.{MASK}: no\n"
