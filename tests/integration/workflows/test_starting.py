"""Starts with options: one run per key however often it is started, tags, and what a child inherits."""

import math
import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.db import IntegrityError, connection, transaction
from django.utils.functional import SimpleLazyObject

from django_ai.automation import clock
from django_ai.automation.workflows.core import complete, engine, run_subflow, step, wait, workflow
from django_ai.automation.workflows.exceptions import ContextInvalid, InvalidOption, UnknownWorkflow
from django_ai.automation.workflows.models import RunTag, WorkflowRun

from .declared import declare_inquiry, reloaded
from .racing import ROUNDS, SECOND_TRANSACTION, together

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_second_start_with_a_key_returns_the_first_run_and_ignores_its_arguments():
    declare_inquiry()
    once = engine.using(idempotency_key="order-7", tags=["first"])
    run = once.start("inquiry", key="first")
    again = engine.using(idempotency_key="order-7", tags=["second"]).start("inquiry", key="second", unknown=1)
    assert (again, WorkflowRun.objects.count()) == (run, 1)
    assert (again.data["key"], again.idempotency_key) == ("first", "order-7")
    assert [tag.name for tag in again.tags.all()] == ["first"]


def test_the_second_start_sends_no_message(sent):
    declare_inquiry()
    for _ in range(3):
        engine.using(idempotency_key="order-7").start("inquiry")
    assert len(sent) == 1


def test_a_run_that_has_ended_keeps_its_key():
    declare_inquiry()
    run = engine.cancel(engine.using(idempotency_key="order-7").start("inquiry"))
    assert engine.using(idempotency_key="order-7").start("inquiry").status == run.status == "cancelled"


def test_keys_belong_to_one_workflow_and_are_compared_exactly():
    declare_inquiry()
    declare_inquiry("complaint")
    starts = [("inquiry", "order-7"), ("inquiry", "Order-7"), ("inquiry", "örder-7"), ("complaint", "order-7")]
    runs = [engine.using(idempotency_key=key).start(name) for name, key in starts]
    assert len({run.pk for run in runs}) == len(starts)


def test_runs_without_a_key_are_never_the_same():
    declare_inquiry()
    assert engine.start("inquiry") != engine.start("inquiry")


def test_a_start_that_cannot_be_leaves_its_key_free():
    declare_inquiry()
    with pytest.raises(ContextInvalid):
        engine.using(idempotency_key="order-7").start("inquiry", number="many")
    assert engine.using(idempotency_key="order-7").start("inquiry", number=1).data["number"] == 1


def test_a_key_of_an_unknown_workflow_is_refused():
    with pytest.raises(UnknownWorkflow):
        engine.using(idempotency_key="order-7").start("nowhere")


def test_a_start_that_is_rolled_back_leaves_its_key_free():
    declare_inquiry()
    with transaction.atomic():
        engine.using(idempotency_key="order-7").start("inquiry", key="undone")
        transaction.set_rollback(True)
    assert engine.using(idempotency_key="order-7").start("inquiry", key="done").data["key"] == "done"


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_of_many_starts_at_once_one_makes_the_run(sent, _round):
    declare_inquiry()
    starter = engine.using(idempotency_key="order-7", tags=["many"])
    runs = together(*[lambda n=n: starter.start("inquiry", number=n) for n in range(6)])
    assert (len({run.pk for run in runs}), WorkflowRun.objects.count(), RunTag.objects.count()) == (1, 1, 1)
    assert len({run.data["number"] for run in runs}) == 1
    assert len(sent) == 1


class Overlap:
    """A start whose transaction stays open until another one is held up by it, or has lost the race."""

    def __init__(self, *, commits):
        self.commits = commits
        self.inserted, self.looked = threading.Event(), threading.Event()
        self.runs = []

    def first(self):
        with transaction.atomic():
            self.runs.append(engine.using(idempotency_key="order-7").start("inquiry", key="first"))
            self.inserted.set()
            assert self.looked.wait(60)
            transaction.set_rollback(not self.commits)

    def second(self, declared):
        assert self.inserted.wait(60)
        with transaction.atomic():
            Group.objects.create(name="of the caller")
            run = engine.using(idempotency_key="order-7").start(declared, key="second")
            # The caller's transaction goes on, whoever won.
            Group.objects.create(name=f"after {run.data['key']}")
        self.runs.append(run)


@SECOND_TRANSACTION
@pytest.mark.parametrize("commits", [True, False])
def test_a_start_waits_for_one_that_has_not_committed_and_leaves_its_callers_transaction_whole(commits):
    overlap = Overlap(commits=commits)
    declared = declare_inquiry()

    def create_context(cls, **fields):
        # The second has found no run with the key by now, and is about to insert its own.
        if fields["key"] == "second":
            overlap.looked.set()
        return cls.Context(**fields)

    declared.create_context = classmethod(create_context)
    together(overlap.first, lambda: overlap.second(declared))
    won = "first" if commits else "second"
    assert WorkflowRun.objects.get().data["key"] == won
    assert overlap.runs[-1].data["key"] == won
    assert set(Group.objects.values_list("name", flat=True)) == {"of the caller", f"after {won}"}


def test_another_unique_value_that_is_taken_is_not_mistaken_for_the_key(monkeypatch):
    from django_ai.automation.workflows.runtime import creating

    declare_inquiry()

    def create(*args, **columns):
        raise IntegrityError("something else")

    monkeypatch.setattr(creating, "create_many", create)
    with pytest.raises(IntegrityError, match="something else"):
        engine.using(idempotency_key="order-7").start("inquiry")


def test_tags_find_runs_and_are_kept_once():
    declare_inquiry()
    run = engine.using(tags=["vip", "north", "vip", "VIP"]).start("inquiry")
    engine.start("inquiry")
    assert list(WorkflowRun.objects.filter(tags__name="vip")) == [run]
    assert sorted(map(str, run.tags.all())) == ["VIP", "north", "vip"]


def test_a_start_that_is_rolled_back_leaves_no_tags():
    declare_inquiry()
    with transaction.atomic():
        engine.using(tags=["vip"]).start("inquiry")
        transaction.set_rollback(True)
    assert not RunTag.objects.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"idempotency_key": ""}, "idempotency_key must be 1 to 200 characters"),
        ({"idempotency_key": "x" * 201}, "idempotency_key must be 1 to 200 characters"),
        ({"idempotency_key": 7}, "not 7"),
        ({"idempotency_key": "order "}, "no blank at either end"),
        ({"tags": "vip"}, r"write tags=\['vip'\]"),
        ({"tags": [""]}, "A tag must be 1 to 50 characters"),
        ({"tags": ["x" * 51]}, "A tag must be 1 to 50 characters"),
        ({"tags": [None]}, "not None"),
    ],
)
def test_an_option_that_cannot_be_stored_is_refused_before_anything_starts(options, said):
    with pytest.raises(InvalidOption, match=said):
        engine.using(**options)


def test_a_child_inherits_the_owner_but_neither_key_nor_tags(workflows):
    @workflow("parent")
    class Parent:
        @step(start=True)
        def begin(self):
            return run_subflow("inquiry", on_complete=self.after)

        @step()
        def after(self, subflow_result):
            return complete()

    declare_inquiry()
    user = User.objects.create(username="ada")
    run = engine.using(owner=user, idempotency_key="order-7", tags=["vip"]).start(Parent)
    workflows.drain()
    child = reloaded(run).child_runs.get()
    assert (child.owner, child.idempotency_key, child.tags.count()) == (user, None, 0)


@pytest.mark.postgres
def test_the_key_is_found_by_its_index():
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute("SET LOCAL enable_seqscan = off")
        plan = WorkflowRun.objects.filter(name="inquiry", idempotency_key="order-7").order_by().explain()
    assert "workflow_run_once_per_key" in plan


def test_many_runs_start_at_once_each_with_its_context(sent):
    declare_inquiry()
    runs = engine.start_many("inquiry", [{"key": str(number)} for number in range(25)])
    assert [run.data["key"] for run in runs] == [str(number) for number in range(25)]
    assert list(WorkflowRun.objects.order_by("id")) == runs
    assert sent == [("django_ai.workflows.execute", (run.pk, 1, 0)) for run in runs]


def inserts_of(count):
    """Return how many INSERTs so many runs take: one for a thousand, or for what SQLite takes at once."""
    fields = [field for field in WorkflowRun._meta.concrete_fields if not field.primary_key]
    return math.ceil(count / min(1000, connection.ops.bulk_batch_size(fields, range(count))))


def test_the_statements_of_many_starts_grow_with_batches_not_with_runs(sent, django_assert_num_queries, monkeypatch):
    monkeypatch.setattr(clock, "ASK_EVERY_SECONDS", 3600)
    declare_inquiry()
    engine.start("inquiry")  # the database has told its time
    with transaction.atomic():
        for count in (100, 1001):
            with django_assert_num_queries(2 + inserts_of(count)):  # inside a savepoint
                engine.start_many("inquiry", [{}] * count)
    with django_assert_num_queries(0):
        assert engine.start_many("inquiry", []) == []


def test_many_runs_have_the_options_of_their_start(sent, django_user_model):
    owner = django_user_model.objects.create(username="ann")
    declare_inquiry()
    runs = engine.using(owner=owner, tags=["vip", "north"]).start_many("inquiry", [{}, {}])
    assert list(WorkflowRun.objects.filter(tags__name="vip", owner=owner).order_by("id")) == runs
    with pytest.raises(InvalidOption, match="one run"):
        engine.using(idempotency_key="order-7").start_many("inquiry", [{}])


def test_of_many_starts_one_that_does_not_fit_starts_none(sent):
    declare_inquiry()
    with pytest.raises(ContextInvalid, match=r"contexts\[1\].*number"):
        engine.start_many("inquiry", [{}, {"number": "many"}])
    assert (WorkflowRun.objects.count(), sent) == (0, [])


def test_many_runs_that_begin_with_a_wait_are_suspended(sent):
    @workflow("asked")
    class Asked:
        @wait("answer", timeout=timedelta(hours=1))
        @step(start=True)
        def begin(self):
            return complete()

    runs = engine.start_many(Asked, [{}] * 3)
    assert {run.status for run in WorkflowRun.objects.select_related("suspension")} == {"suspended"}
    assert {run.waits_for.name for run in runs} == {"answer"}
    assert sent == []


def test_whoever_is_not_stored_owns_no_run_for_it_would_be_everybodys(sent):
    declare_inquiry()
    with pytest.raises(InvalidOption, match="log in"):
        engine.using(owner=AnonymousUser())
    assert engine.using(owner=None).start("inquiry").owner_id is None


@pytest.mark.parametrize("owner", ["", " ", 0, "0", -1, False, True, 1.5, "somebody", [], {}, object(), 2**64, "x\0"])
def test_what_can_be_no_users_key_owns_no_run(owner):
    with pytest.raises(InvalidOption, match="is no stored user"):
        engine.using(owner=owner)


def test_a_row_that_is_no_user_owns_no_run_though_a_user_may_have_its_key(db):
    with pytest.raises(InvalidOption, match="is no user: it takes a User"):
        engine.using(owner=Group.objects.create(name="team"))


def test_an_owner_may_be_given_by_the_key(sent, django_user_model):
    declare_inquiry()
    user = django_user_model.objects.create(username="ann")
    for owner in (user, user.pk, str(user.pk), SimpleLazyObject(lambda: user)):
        assert engine.using(owner=owner).start("inquiry").owner_id == user.pk
