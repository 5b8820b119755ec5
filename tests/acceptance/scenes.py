"""The mixed work of the acceptance test: what is posted, and the history that each run must have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NOTEBOOK, LAMP, CHAIR, WORKBENCH = 1, 2, 3, 4

# A visit of a step as history tells it: step, status, attempts.
Visit = tuple[str, str, int]


@dataclass(frozen=True)
class Story:
    """How a run must have gone, and the runs that it started."""

    workflow: str
    history: tuple[Visit, ...]
    status: str = "completed"
    children: tuple[Story, ...] = ()


@dataclass(frozen=True)
class Scene:
    """How often something is posted where, how it goes, and what a person answers on the way.

    Texts of `data` may name {n}, the scene's running number.
    """

    count: int
    path: str
    data: Mapping[str, Any]
    story: Story
    approved: bool | None = None

    def posts(self) -> list[dict[str, Any]]:
        """Return what is posted, with the numbers filled in."""
        return [{key: _numbered(value, number) for key, value in self.data.items()} for number in range(self.count)]


def _numbered(value: Any, number: int) -> Any:
    return value.format(n=number) if isinstance(value, str) else value


def visits(*names: str, **attempts: int) -> tuple[Visit, ...]:
    """Return the history of steps that completed: at once, unless `attempts` names more."""
    return tuple((name, "completed", attempts.get(name, 1)) for name in names)


PAYMENT = Story("payment", visits("charge", "book"))
FLAKY_PAYMENT = Story("payment", visits("charge", "book", charge=3))
DECLINED_PAYMENT = Story("payment", (("charge", "failed", 1),), status="failed")
SHIPMENT = Story("shipment", visits("pack", "hand_over", "deliver"))
VERIFICATION = Story("email_verification", visits("send_link", "confirm"))


def order(product: int, card: str = "tok_good", quantity: int = 1) -> dict[str, Any]:
    return {"customer": "Customer {n}", "product": product, "quantity": quantity, "card": card}


SCENES = [
    Scene(
        count=60,
        path="/orders/",
        data=order(NOTEBOOK, quantity=2),
        story=Story(
            "order",
            visits("reserve_items", "pay", "after_payment", "ship", "after_shipment"),
            children=(PAYMENT, SHIPMENT),
        ),
    ),
    Scene(
        count=15,
        path="/orders/",
        data=order(LAMP, "tok_flaky"),
        story=Story(
            "order",
            visits("reserve_items", "pay", "after_payment", "ship", "after_shipment"),
            children=(FLAKY_PAYMENT, SHIPMENT),
        ),
    ),
    Scene(
        count=15,
        path="/orders/",
        data=order(CHAIR, "tok_declined"),
        story=Story("order", visits("reserve_items", "pay", "after_payment", "cancel"), children=(DECLINED_PAYMENT,)),
    ),
    Scene(
        count=15,
        path="/orders/",
        data=order(WORKBENCH),
        story=Story(
            "order",
            visits("reserve_items", "ask_manager", "decide", "pay", "after_payment", "ship", "after_shipment"),
            children=(PAYMENT, SHIPMENT),
        ),
        approved=True,
    ),
    Scene(
        count=10,
        path="/orders/",
        data=order(WORKBENCH),
        story=Story("order", visits("reserve_items", "ask_manager", "decide", "cancel")),
        approved=False,
    ),
    Scene(
        count=5,
        path="/orders/",
        data=order(LAMP, quantity=5000),
        story=Story("order", visits("reserve_items", "cancel")),
    ),
    Scene(
        count=20,
        path="/payments/",
        data={"reference": "phone-{n}", "amount": "10.00", "card": "tok_good"},
        story=PAYMENT,
    ),
    Scene(
        count=20,
        path="/shipments/",
        data={"reference": "sample-{n}", "recipient": "Customer {n}"},
        story=SHIPMENT,
    ),
    Scene(
        count=20,
        path="/reminders/",
        data={"email": "customer{n}@example.com", "item": "Lamp"},
        story=Story("cart_reminder", visits("remind", "give_up")),
    ),
    Scene(
        count=20,
        path="/registrations/",
        data={"name": "Customer {n}", "email": "customer{n}@example.com"},
        story=Story("registration", visits("verify_email", "after_verification", "welcome"), children=(VERIFICATION,)),
    ),
]
