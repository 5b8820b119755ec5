"""What the demonstration starts, and how far all of it is."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .server import Shop

Run = dict[str, Any]

NOTEBOOK, LAMP, CHAIR, WORKBENCH = 1, 2, 3, 4
FINAL = {"completed", "failed", "cancelled"}


def order(customer: str, product: int, quantity: int, card: str = "tok_good") -> tuple[str, dict[str, Any]]:
    return "/orders/", {"customer": customer, "product": product, "quantity": quantity, "card": card}


# What it is → the endpoint and what is posted there.
STARTS = {
    "Ada orders notebooks": order("Ada", NOTEBOOK, 3),
    "Ben orders a lamp": order("Ben", LAMP, 1),
    "Cleo's bank is flaky": order("Cleo", CHAIR, 1, "tok_flaky"),
    "Dan's card is declined": order("Dan", CHAIR, 2, "tok_declined"),
    "Eve orders a workbench": order("Eve", WORKBENCH, 1),
    "Fay wants too many lamps": order("Fay", LAMP, 5000),
    "Gus orders four chairs": order("Gus", CHAIR, 4),
    "A payment by phone": ("/payments/", {"reference": "phone-17", "amount": "25.00", "card": "tok_good"}),
    "A payment, flaky bank": ("/payments/", {"reference": "phone-18", "amount": "99.00", "card": "tok_flaky"}),
    "A sample for a customer": ("/shipments/", {"reference": "sample-1", "recipient": "Hal"}),
    "A replacement part": ("/shipments/", {"reference": "part-7", "recipient": "Ida"}),
    "Jan left a cart behind": ("/reminders/", {"email": "jan@example.com", "item": "Desk lamp"}),
    "Kim left a cart behind": ("/reminders/", {"email": "kim@example.com", "item": "Chair"}),
    "Leo registers": ("/registrations/", {"name": "Leo", "email": "leo@example.com"}),
    "Mia registers": ("/registrations/", {"name": "Mia", "email": "mia@example.com"}),
    "Nia onboards her house": ("/desk/onboardings/", {}),
    "Oli hands in an expense": ("/desk/expenses/", {}),
}

# What it is → what is posted where, and the event that starts the run then.
BOOKINGS = {
    "Pia books a fitting": ("/appointments/", {"customer": "Pia", "email": "pia@example.com", "days": 2}),
}
AWAITED = {
    "appointment_booked": "is confirmed",
    "appointment_due": "is reminded a day before",
}


# A run that its event has not started yet.
NOT_YET: Run = {
    "workflow": "",
    "current_step": "its event is to come",
    "status": "awaited",
    "progress": 0.0,
    "answer_page": "",
    "completion_display": {},
    "waiting_display": {},
    "step_display": {},
    "error": "",
}


@dataclass
class Line:
    """One run that the demonstration started, with the child that it waits for."""

    title: str
    run: Run
    active: list[Run] = field(default_factory=list)

    @property
    def step(self) -> str:
        return " → ".join(run["current_step"] for run in (self.run, *self.active))

    @property
    def status(self) -> str:
        return str(self.run["status"])

    @property
    def progress(self) -> float:
        return float(self.run["progress"])

    @property
    def answer_page(self) -> str:
        """Where a person answers, if that is what it waits for."""
        return str((self.active or [self.run])[-1]["answer_page"])

    @property
    def news(self) -> str:
        innermost = (self.active or [self.run])[-1]
        display = innermost["completion_display"] or innermost["waiting_display"] or innermost["step_display"]
        texts = [display.get("display_title"), display.get("display_subtitle")]
        return ": ".join(filter(None, texts)) or str(innermost["error"])

    @property
    def is_settled(self) -> bool:
        return self.status in FINAL or bool(self.answer_page)


# Title of each run, by ("run", its id) or ("event", the event that starts it).
Titles = dict[tuple[str, int], str]


def start_all(shop: Shop) -> Titles:
    """Start everything; return each run's title."""
    titles = {("run", shop.post(path, data)["run"]): title for title, (path, data) in STARTS.items()}
    for title, (path, data) in BOOKINGS.items():
        events = shop.post(path, data)["events"]
        titles.update({("event", events[name]): f"{title.split()[0]} {what}" for name, what in AWAITED.items()})
    return titles


def lines(shop: Shop, titles: Titles) -> list[Line]:
    """Return what was started as it is now, and what an event is yet to start."""
    runs = shop.runs()
    found = {key: run for run in runs for key in (("run", run["id"]), ("event", run["event"])) if key in titles}
    return [
        Line(title, found[key], list(active_children(found[key], runs))) if key in found else Line(title, NOT_YET)
        for key, title in titles.items()
    ]


def active_children(run: Run, runs: list[Run]) -> Iterable[Run]:
    for child in runs:
        if child["parent"] == run["id"] and child["status"] not in FINAL:
            yield child
            yield from active_children(child, runs)
