"""A context comes out of JSON as it went in, and nothing wrong goes in."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, Secret, SecretBytes, SecretStr

from django_ai.automation.workflows.exceptions import ContextInvalid, InvalidCommand
from django_ai.automation.workflows.machine.commands import Wait, WaitKind
from django_ai.automation.workflows.machine.context import load, merge
from django_ai.automation.workflows.machine.enter import suspension_of
from django_ai.automation.workflows.machine.storing import store

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def dump(context):
    return store(context).data


class Line(BaseModel):
    price: Decimal


class Order(BaseModel):
    number: int = 0
    at: datetime = NOW
    lines: list[Line] = []
    anything: Any = None


class Renamed(BaseModel):
    order_id: int = Field(alias="orderId")


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    known: int = 0


class Secretive(BaseModel):
    password: SecretStr = Field(alias="passWord")
    key: SecretBytes = SecretBytes(b"key")
    birthday: Secret[date] | None = None


class Vault(BaseModel):
    inner: Secretive | None = None
    by_name: dict[int, SecretStr] = {}
    several: list[SecretStr] = []
    pair: tuple[SecretStr, str] | None = None


@pytest.mark.parametrize(
    "context",
    [
        Order(number=5, lines=[Line(price=Decimal("9.90"))]),
        Renamed(orderId=7),
        Open(known=1, more={"a": [1]}),
        Secretive(passWord="swordfish", birthday=date(2000, 1, 1)),
        Vault(
            inner=Secretive(passWord="swordfish"),
            by_name={1: "one", 2: ""},
            several=["a", "b"],
            pair=("c", "**********"),
        ),
    ],
)
def test_a_context_survives_json(context):
    data = json.loads(json.dumps(dump(context)))
    assert load(type(context), data) == context


def test_a_secret_is_stored_and_not_its_asterisks():
    dumped = dump(Secretive(passWord="swordfish"))
    assert dumped == {"passWord": "swordfish", "key": "key", "birthday": None}


def test_what_a_step_assigned_is_validated_when_it_is_stored():
    context = Order()
    context.number = "many"
    with pytest.raises(ContextInvalid, match=r"does not fit Order: number: Input should be a valid integer"):
        dump(context)


def test_what_is_no_json_is_refused():
    with pytest.raises(ContextInvalid, match="cannot be stored as JSON"):
        dump(Order(anything=object()))


def test_data_that_does_not_fit_names_each_field():
    with pytest.raises(ContextInvalid, match=r"number: .*; lines\.0\.price: "):
        load(Order, {"number": "x", "lines": [{"price": "y"}]})


def test_a_payload_merges_into_declared_fields_and_the_rest_is_ignored():
    before = Order(number=1, lines=[Line(price=Decimal(1))])
    after = merge(before, {"number": "2", "unknown": True})
    assert (after.number, after.lines, before.number) == (2, before.lines, 1)
    assert merge(before, {"unknown": True}) is before


@pytest.mark.parametrize("spelling", ["order_id", "orderId"])
def test_a_payload_may_use_a_fields_name_or_its_alias(spelling):
    assert merge(Renamed(orderId=1), {spelling: 2}).order_id == 2


def test_a_context_that_allows_more_takes_more():
    assert merge(Open(first=1), {"second": 2}).model_dump() == {"known": 0, "first": 1, "second": 2}


def test_a_payload_that_does_not_fit_is_refused():
    with pytest.raises(ContextInvalid, match="number"):
        merge(Order(), {"number": None})


def correlation(template, **context):
    wait = Wait(WaitKind.SIGNAL, "paid", correlate=template)
    return suspension_of(wait, Order(**context), NOW).correlation


def test_a_correlation_key_is_filled_in_from_the_context():
    assert correlation("order-{number}", number=5) == "order-5"
    assert correlation("{{{number}}}", number=5) == "{5}"
    assert correlation(None) is None


def test_a_key_that_the_table_cannot_hold_is_refused():
    assert len(correlation("x" * 199 + "{number}")) == 200
    with pytest.raises(InvalidCommand, match="201 characters; at most 200"):
        correlation("x" * 200 + "{number}")
