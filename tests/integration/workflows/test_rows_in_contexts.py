"""``Django[Model]`` in a Context: stored as the key, read as the row when it is looked at."""

import pickle
from uuid import UUID

import pytest
from pydantic import BaseModel, ValidationError

from django_ai.automation.workflows.core import (
    Django,
    complete,
    engine,
    goto,
    run_subflow,
    step,
    wait,
    workflow,
)
from django_ai.automation.workflows.exceptions import ContextInvalid, SignalRejected
from django_ai.automation.workflows.machine import context as contexts
from django_ai.automation.workflows.machine.storing import store
from tests.app.models import Country, Order, Ticket, Visit

pytestmark = pytest.mark.django_db(transaction=True)


class Sale(BaseModel):
    order: Django[Order]
    ticket: Django[Ticket] | None = None
    countries: list[Django[Country]] = []
    visit: Django[Visit] | None = None


@pytest.fixture
def order():
    return Order.objects.create(number="7")


def carried(context):
    return contexts.load(type(context), store(context).data)


def test_a_row_is_stored_as_its_key_whatever_kind_that_is(order):
    ticket = Ticket.objects.create(subject="lost", id=UUID(int=5))
    country, visit = Country.objects.create(code="IT"), Visit.objects.create(title="home")
    sale = Sale(order=order, ticket=ticket, countries=[country], visit=visit)
    assert store(sale).data == {"order": order.pk, "ticket": str(ticket.pk), "countries": ["IT"], "visit": visit.pk}
    read = carried(sale)
    assert (read.order.number, read.ticket.subject, read.countries, read.visit.title) == (
        "7",
        "lost",
        [country],
        "home",
    )


def test_a_row_is_read_by_one_query_when_it_is_looked_at(order, django_assert_num_queries):
    with django_assert_num_queries(0):
        read = carried(Sale(order=order))
        assert read.order == order
        assert read.order.pk == order.pk
        store(read)
    with django_assert_num_queries(1):
        assert (read.order.number, read.order.status, isinstance(read.order, Order)) == ("7", "new", True)
    Order.objects.update(number="8")
    read.order.refresh_from_db()
    assert read.order.number == "8"


def test_a_row_that_was_read_is_saved_like_any_other(order):
    row = carried(Sale(order=order)).order
    row.status = "paid"
    row.save()
    order.refresh_from_db()
    assert (order.status, order.number) == ("paid", "7")


def test_a_row_that_is_gone_is_named_when_it_is_read(order):
    read, key = carried(Sale(order=order)), order.pk
    order.delete()
    for _ in range(2):
        with pytest.raises(ContextInvalid, match=f"order: the Order with the primary key {key} is not there any more"):
            assert read.order.number
    assert store(read).data["order"] == key


def test_a_row_that_is_not_saved_is_refused(order):
    with pytest.raises(ValidationError, match="this Order is not saved: save it first"):
        Sale(order=Order())
    with pytest.raises(ValidationError, match="this Ticket is not saved"):
        Sale(order=order, ticket=Ticket())
    sale = Sale(order=order)
    sale.order = Order()
    with pytest.raises(ContextInvalid, match=r"\(order\).*this Order is not saved"):
        store(sale)


@pytest.mark.parametrize("value", ["many", None, True, 1.5, {}, []])
def test_what_is_no_key_and_no_row_is_refused(value):
    with pytest.raises(ValidationError, match="is no primary key of a Order"):
        Sale(order=value)


def test_a_row_of_another_model_is_refused(order):
    with pytest.raises(ValidationError, match="a Country is no Order"):
        Sale(order=Country.objects.create(code="IT"))


def test_a_model_is_what_the_brackets_take():
    with pytest.raises(TypeError, match="takes a model of the project"):

        class Wrong(BaseModel):
            number: Django[int]


def test_a_row_that_was_not_looked_at_can_be_pickled(order):
    assert pickle.loads(pickle.dumps(carried(Sale(order=order)).order)).number == "7"


class Decision(BaseModel):
    chosen: Django[Order]


@pytest.fixture
def choosing(workflows):
    seen = []

    @workflow("chooses_child")
    class Child:
        class Context(BaseModel):
            order: Django[Order]

        @step(start=True)
        def only(self):
            self.context.order.status = "seen"
            self.context.order.save()
            return complete(order=self.context.order)

    @workflow("chooses")
    class Chooses:
        class Context(BaseModel):
            order: Django[Order]
            chosen: Django[Order] | None = None

        @step(start=True)
        def ask(self):
            return wait.for_signal("choice", payload=Decision, then=self.again)

        @step()
        def again(self):
            seen.append(self.context.chosen.number)
            return wait.for_signal("free_choice", then=self.child)

        @step()
        def child(self):
            seen.append(self.context.chosen.number)
            return run_subflow(Child, on_complete=self.end, order=self.context.order)

        @step()
        def end(self, subflow_result):
            seen.append(subflow_result.context.order.status)
            return goto(self.last)

        @step()
        def last(self):
            return complete(chosen=self.context.order)

    return seen


def test_a_row_comes_by_a_start_a_signal_a_child_and_an_end(workflows, choosing, order):
    first, second = Order.objects.create(number="a"), Order.objects.create(number="b")
    run = engine.start("chooses", order=order)
    workflows.drain()
    engine.signal("choice", {"chosen": first.pk}, run=run)
    workflows.drain()
    engine.signal("free_choice", {"chosen": second}, run=run)
    workflows.drain()
    run.refresh_from_db()
    assert (run.status, choosing) == ("completed", ["a", "b", "seen"]), run.error
    assert run.data == {"order": order.pk, "chosen": order.pk}


def test_a_signal_with_a_row_that_does_not_fit_is_rejected(workflows, choosing, order):
    run = engine.start("chooses", order=order.pk)
    workflows.drain()
    with pytest.raises(SignalRejected, match="chosen"):
        engine.signal("choice", {"chosen": "many"}, run=run)


def test_a_run_fails_at_once_where_its_row_is_gone(workflows, order):
    @workflow("reads_row")
    class ReadsRow:
        class Context(BaseModel):
            order: Django[Order]

        @step(start=True)
        def only(self):
            return complete(display_title=self.context.order.number)

    run = engine.start(ReadsRow, order=order)
    Order.objects.all().delete()
    workflows.drain()
    run.refresh_from_db()
    assert (run.status, run.attempt) == ("failed", 1)
    assert "order: the Order with the primary key" in run.error
