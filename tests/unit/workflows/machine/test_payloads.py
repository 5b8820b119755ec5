"""A wait says which payloads it takes; any other is refused by field and reason."""

import traceback
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, field_validator

from django_ai.automation.workflows.exceptions import SignalRejected
from django_ai.automation.workflows.machine.payloads import Accepts


class Context(BaseModel):
    approved: bool = False
    amount: int = 10
    order_id: int = Field(0, alias="orderId")


class Colour(Enum):
    RED = "red"


class Decision(BaseModel):
    model_config = ConfigDict(strict=True)
    approved: bool
    notes: str = "none"
    on: date | None = None


class Aliased(BaseModel):
    approved: bool = Field(validation_alias="isApproved")
    by: str = Field("", validation_alias=AliasChoices("by", "signedBy"))


class Particular(BaseModel):
    amount: Decimal
    colour: Colour = Colour.RED
    token: SecretStr = SecretStr("s")

    @field_validator("amount")
    @classmethod
    def _check(cls, value):
        if value < 0:
            raise RuntimeError("too little")
        return value


FIELDS = Accepts.of_fields(["approved", "order_id"], fresh=False)


def reasons(accepts, payload):
    with pytest.raises(SignalRejected) as caught:
        accepts.read(payload, Context)
    return str(caught.value)


def restored(accepts, **changes):
    return Accepts.restored({**accepts.stored(4), **changes})


@pytest.mark.parametrize("key", ["order_id", "orderId"])
def test_the_named_fields_are_taken_under_their_name_or_alias(key):
    assert FIELDS.read({"approved": True, key: 7}, Context) == {"approved": True, "order_id": 7}


def test_any_payload_is_taken_where_nothing_is_named():
    assert Accepts(fresh=True).read({"anything": 1}, Context) == {"anything": 1}


def test_a_misspelt_field_is_refused_and_the_right_one_is_named():
    assert reasons(FIELDS, {"aproved": True, "order_id": 7}) == (
        "aproved: The wait takes no such field. Did you mean 'approved'?; approved: Field required"
    )


def test_a_declared_field_that_the_wait_does_not_name_is_refused():
    assert reasons(FIELDS, {"approved": True, "order_id": 7, "amount": 1_000_000}).startswith("amount: ")


def test_a_wait_may_take_a_signal_without_fields_alone():
    nothing = Accepts.of_fields([], fresh=False)
    assert nothing.read({}, Context) == {}
    assert "approved" in reasons(nothing, {"approved": True})


def test_a_model_gives_all_its_fields_with_the_defaults_of_those_not_sent():
    accepts = Accepts.of_model(Decision, fresh=False)
    assert accepts.read({"approved": True}, Context) == {"approved": True, "notes": "none", "on": None}


def test_a_strict_model_reads_the_payload_as_json():
    accepts = Accepts.of_model(Decision, fresh=False)
    assert accepts.read({"approved": True, "on": "2026-01-31"}, Context)["on"] == date(2026, 1, 31)
    assert reasons(accepts, {"approved": "yes"}) == "approved: Input should be a valid boolean"


@pytest.mark.parametrize("payload", [{}, {"approved": True, "amount": 5}, {"approve": True}, {"approved": None}])
def test_a_model_refuses_what_it_does_not_declare_and_what_is_missing(payload):
    assert "Decision" not in reasons(Accepts.of_model(Decision, fresh=False), payload)


def test_a_model_is_read_by_its_aliases_alone_and_a_field_under_another_name_is_not_ignored():
    accepts = Accepts.of_model(Aliased, fresh=False)
    assert accepts.read({"isApproved": True, "signedBy": "Ann"}, Context) == {"approved": True, "by": "Ann"}
    assert "approved: The wait takes no such field. Did you mean 'isApproved'?" in reasons(
        accepts, {"isApproved": True, "approved": False}
    )


def test_values_come_as_the_model_made_them():
    read = Accepts.of_model(Particular, fresh=False).read({"amount": "1.50", "token": "secret"}, Context)
    assert read["amount"] == Decimal("1.50")
    assert read["colour"] is Colour.RED
    assert read["token"].get_secret_value() == "secret"


def test_a_validator_that_raises_anything_refuses_the_payload():
    assert (
        reasons(Accepts.of_model(Particular, fresh=False), {"amount": "-1"}) == "Particular: RuntimeError: too little"
    )


@pytest.mark.parametrize("accepts", [FIELDS, Accepts.of_model(Decision, fresh=True), Accepts(fresh=True)])
def test_what_a_wait_accepts_comes_back_from_its_row(accepts):
    assert restored(accepts) == accepts


@pytest.mark.parametrize("gone", ["nowhere:Decision", f"{__name__}:Renamed", f"{__name__}:test.<locals>.Decision"])
def test_of_a_model_that_is_gone_the_fields_are_still_known(gone):
    accepts = restored(Accepts.of_model(Aliased, fresh=False), model=gone)
    assert accepts.model is None
    assert accepts.read({"isApproved": True}, Context) == {"approved": True}
    assert "by: " not in reasons(accepts, {"signedBy": "Ann"})
    assert "Did you mean 'isApproved'" in reasons(accepts, {"isAproved": True})


def test_a_local_model_is_found_near_its_step():
    class Local(BaseModel):
        approved: bool

    accepts = Accepts.of_model(Local, fresh=False)
    assert Accepts.restored(accepts.stored(1), near=[1, Decision, Local]).model is Local
    assert Accepts.restored(accepts.stored(1)).model is None


class Card(BaseModel):
    pin: Annotated[str, Field(json_schema_extra={"sensitive": True}, pattern="^[0-9]*$")]

    @field_validator("pin")
    @classmethod
    def _check(cls, value):
        if len(value) != 4:
            raise ValueError(f"{value} is too long")
        raise RuntimeError(f"{value} is stolen")


@pytest.mark.parametrize("pin", ["12345678", "12ab34cd", "4242"])
def test_a_refusal_tells_no_secret(pin):
    with pytest.raises(SignalRejected) as caught:
        Accepts.of_model(Card, fresh=False).read({"pin": pin}, Context)
    assert pin not in "".join(traceback.format_exception(caught.value))


def test_fields_that_the_context_does_not_declare_are_named():
    assert FIELDS.undeclared(Context) == []
    assert Accepts.of_fields(["orderId", "order_id"], fresh=False).undeclared(Context) == ["orderId"]
    assert Accepts.of_model(Decision, fresh=False).undeclared(Context) == ["notes", "on"]
