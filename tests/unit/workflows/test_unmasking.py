"""An edit that leaves a secret masked keeps it, and one that leaves open which secret is meant is refused."""

import pytest
from pydantic import BaseModel, SecretStr, create_model

from django_ai.automation.workflows.machine.secret_places import MASK, masked, places_of
from django_ai.automation.workflows.masking import unmasked


class Card(BaseModel):
    name: str = ""
    pin: SecretStr = SecretStr("")


Cards = create_model("Cards", cards=(list[Card], []), card=(Card, Card()), pins=(list[SecretStr], []))

ADA, BOB, EVE = ({"name": name, "pin": pin} for name, pin in (("Ada", "1111"), ("Bob", "2222"), ("Eve", "3333")))


def shown(person):
    return {**person, "pin": MASK}


def edited(field, stored, given):
    return unmasked(given, masked(places_of(Cards), {field: stored})[field], stored)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (shown(ADA), ADA),
        ({"name": "Ann", "pin": MASK}, {"name": "Ann", "pin": "1111"}),
        ({"name": "Ada", "pin": "4444"}, {"name": "Ada", "pin": "4444"}),
        ({"pin": MASK}, {"pin": "1111"}),
        ({"name": "Ada"}, {"name": "Ada"}),
        (None, None),
    ],
)
def test_a_secret_of_an_object_is_kept(given, expected):
    assert edited("card", ADA, given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([shown(ADA), shown(BOB)], [ADA, BOB]),
        ([shown(BOB), shown(ADA)], [BOB, ADA]),
        ([shown(BOB)], [BOB]),
        ([shown(ADA), EVE, shown(BOB)], [ADA, EVE, BOB]),
        ([shown(ADA), {"name": "Ben", "pin": MASK}], [ADA, {"name": "Ben", "pin": "2222"}]),
        ([shown(ADA), {"name": "Bob", "pin": "4444"}], [ADA, {"name": "Bob", "pin": "4444"}]),
        ([shown(BOB), shown(BOB)], [BOB, BOB]),
        ([], []),
    ],
)
def test_the_secrets_in_a_list_go_with_their_items(given, expected):
    assert edited("cards", [ADA, BOB], given) == expected


@pytest.mark.parametrize(("given", "expected"), [([MASK, MASK], ["1", "2"]), ([MASK, "3"], ["1", "3"]), (["3"], ["3"])])
def test_secrets_of_a_list_stay_at_their_places(given, expected):
    assert edited("pins", ["1", "2"], given) == expected


@pytest.mark.parametrize(
    ("field", "stored", "given"),
    [
        ("pins", ["1", "2"], [MASK]),
        ("pins", ["1", "2"], [MASK, MASK, MASK]),
        ("cards", [ADA, BOB], [{"name": "Ben", "pin": MASK}]),
        ("cards", [ADA, BOB], [{"name": "Ben", "pin": MASK}, shown(ADA)]),
        ("cards", [ADA], [shown(ADA), {"name": "Ben", "pin": MASK}]),
        ("card", ADA, {"name": "Ada", "pin": "1", "other": MASK}),
        ("card", ADA, [MASK]),
    ],
)
def test_a_mask_that_may_stand_for_several_secrets_is_refused(field, stored, given):
    with pytest.raises(ValueError, match="Write the secret anew"):
        edited(field, stored, given)
