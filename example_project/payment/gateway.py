"""A pretended payment gateway: slow, sometimes down, and charging each key once."""

import time
from decimal import Decimal

from django.conf import settings
from django.db.models import F

from .models import GatewayCharge

GOOD_CARD = "tok_good"
FLAKY_CARD = "tok_flaky"
DECLINED_CARD = "tok_declined"
CARDS = [(GOOD_CARD, "a good card"), (FLAKY_CARD, "a card of a flaky bank"), (DECLINED_CARD, "a card without cover")]

# How often the bank of a flaky card does not answer before it does.
FLAKY_FAILURES = 2


class GatewayUnavailable(Exception):
    """The gateway did not answer; asking again with the same key is safe."""


class CardDeclined(Exception):
    """The bank refuses; asking again will not help."""


def charge(key: str, card: str, amount: Decimal) -> str:
    """Charge a card once for each key and return the receipt.

    Raises:
        GatewayUnavailable: no answer.
        CardDeclined: the bank refuses.
    """
    charges = GatewayCharge.objects
    charges.get_or_create(key=key, defaults={"amount": amount})
    charges.filter(key=key).update(requests=F("requests") + 1)
    time.sleep(settings.SHOP_GATEWAY_SECONDS)
    entry = charges.get(key=key)
    if card == DECLINED_CARD:
        raise CardDeclined("The bank refused the card.")
    if card == FLAKY_CARD and entry.requests <= FLAKY_FAILURES:
        raise GatewayUnavailable(f"The bank did not answer request {entry.requests}.")
    receipt = entry.receipt or f"receipt-{entry.pk}"
    charges.filter(key=key).update(receipt=receipt)
    return receipt
