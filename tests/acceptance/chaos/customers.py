"""What each customer of the load does: starts a run, and answers what that waits for."""

from __future__ import annotations

from collections.abc import Callable

from django_ai.automation.workflows.core import engine
from django_ai.automation.workflows.exceptions import FormFailed, FormNotOpen, IllegalMove
from django_ai.automation.workflows.models import Signal, WorkflowRun
from django_ai.automation.workflows.runtime import forms
from tests.acceptance.chaos.load import Desk, Doings
from tests.acceptance.chaos.project.models import Order


def simple(kind: str) -> Callable[[Desk], Doings]:
    """Return a customer who starts a run of a kind and asks for no more."""

    def customer(desk: Desk) -> Doings:
        yield from desk.start(kind)

    return customer


def writes_letters(desk: Desk) -> Doings:
    run = yield from desk.start("letters")
    for number in (1, 2, 3):
        yield desk.soon()
        sent = Signal.objects.filter(run=run, payload__number=number)
        yield from desk.surely(lambda number=number: engine.signal("letter", {"number": number}, run=run), sent.exists)


def replies_in_the_last_moment(desk: Desk) -> Doings:
    key = str(desk.chance.random())
    run = yield from desk.start("deadline", key=key)
    yield desk.soon(1.2, 1.8)
    sent = Signal.objects.filter(run=run)
    yield from desk.surely(lambda: engine.signal("reply", correlate=key), sent.exists)


def has_a_child(desk: Desk) -> Doings:
    yield from desk.start("parent", succeeds=desk.chance.random() < 0.7)


def fills_in_a_form(desk: Desk) -> Doings:
    run = yield from desk.start("form")
    yield desk.soon()

    def submit() -> None:
        forms.submit(run.pk, forms.Post("chaos_fill", {"text": "filled in"}), lambda moved: None)

    gone_on = WorkflowRun.objects.filter(pk=run.pk, current_step="check")
    yield from desk.surely(submit, gone_on.exists, again=(FormNotOpen, FormFailed))


def pays_an_order(desk: Desk) -> Doings:
    orders: list[Order] = []
    yield from desk.surely(lambda: orders.append(Order.objects.create()), lambda: bool(orders))
    order = orders[-1]
    yield from desk.start("bill", order=order.pk)
    yield desk.soon()
    order.paid = True
    yield from desk.surely(order.save, Order.objects.filter(pk=order.pk, paid=True).exists)
    desk.note(paid=order.pk)


def changes_his_mind(desk: Desk) -> Doings:
    run = yield from desk.start("endless")
    yield desk.soon(0, 4)

    def cancel() -> None:
        try:
            engine.cancel(run, "changed his mind")
        except IllegalMove:
            assert WorkflowRun.objects.get(pk=run.pk).status == "cancelled"

    yield from desk.surely(cancel, WorkflowRun.objects.filter(pk=run.pk, status="cancelled").exists)


# How many of each there are among them.
CUSTOMERS: dict[Callable[[Desk], Doings], int] = {
    simple("chain"): 4,
    simple("shaky"): 2,
    simple("hopeless"): 1,
    simple("sleeper"): 2,
    simple("outside"): 3,
    writes_letters: 2,
    replies_in_the_last_moment: 2,
    has_a_child: 3,
    fills_in_a_form: 2,
    pays_an_order: 2,
    changes_his_mind: 1,
}


def in_a_hurry(desk: Desk) -> Doings:
    yield from desk.start("quick")


def any_customer(desk: Desk) -> Doings:
    """Return the next customer who comes in."""
    (customer,) = desk.chance.choices(list(CUSTOMERS), list(CUSTOMERS.values()))
    return customer(desk)
