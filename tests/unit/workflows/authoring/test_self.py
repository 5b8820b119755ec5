"""What a step may set on ``self``: its context, and nothing that would be lost when it ends."""

from dataclasses import dataclass
from functools import cached_property

import pytest
from pydantic import BaseModel

from django_ai.automation.workflows.authoring.current import bind, get_context, guard, step_context
from django_ai.automation.workflows.exceptions import ContextInvalid, DeclarationError


class Context(BaseModel):
    total: int = 0


class Larger(Context):
    more: int = 0


class Plain:
    count = 0

    def __init__(self):
        self.made = []

    @property
    def total(self):
        return get_context().total

    @total.setter
    def total(self, value):
        get_context().total = value

    @property
    def fixed(self):
        return 5

    @cached_property
    def lookup(self):
        return {"a": 1}


class Inheriting(Plain):
    pass


class Slotted(Plain):
    __slots__ = ("place",)


class OwnSetter(Plain):
    def __setattr__(self, name, value):
        super().__setattr__(name, value)


@dataclass(frozen=True)
class Frozen:
    count: int = 0


CLASSES = [Plain, Inheriting, Slotted, OwnSetter, Frozen]
for cls in CLASSES:
    guard(cls)


@pytest.fixture(params=CLASSES)
def instance(request):
    """An instance whose step ``first`` runs."""
    made = request.param()
    with step_context(Context(), "first") as running:
        bind(made, running, run_id=7, idempotency_key="key", attempt=1)
        yield made


@pytest.mark.parametrize("name", ["total_of_all", "count", "made", "place", "_private", "__odd"])
def test_an_attribute_that_a_step_sets_is_refused_and_the_step_is_named(instance, name):
    with pytest.raises(DeclarationError, match=rf"Step 'first' of \w+ sets self\.{name}, .*: declare it in Context"):
        setattr(instance, name, 5)


def test_an_attribute_that_a_step_adds_to_is_refused(instance):
    with pytest.raises(DeclarationError, match=r"self\.count"):
        instance.count += 1


@pytest.mark.parametrize("name", ["run_id", "idempotency_key", "attempt"])
def test_an_attribute_of_the_engine_stays_as_it_is(instance, name):
    with pytest.raises(DeclarationError, match=rf"self\.{name}, which the engine sets"):
        setattr(instance, name, 5)
    assert (instance.run_id, instance.idempotency_key) == (7, "key")


def test_a_context_that_a_step_puts_in_place_of_its_own_is_the_context(instance):
    instance.context = instance.context.model_copy(update={"total": 5})
    assert instance.context.total == 5
    assert get_context() is instance.context


@pytest.mark.parametrize("value", [Larger(), {"total": 5}, None, Context])
def test_what_is_no_context_of_the_workflow_cannot_replace_it(instance, value):
    with pytest.raises(ContextInvalid, match=r"self\.context takes a Context, not a"):
        instance.context = value
    assert get_context() is instance.context


def test_a_property_of_the_class_decides_for_itself():
    made = Plain()
    with step_context(Context(), "first") as running:
        bind(made, running)
        made.total = 3
        assert get_context().total == 3
        assert made.lookup == {"a": 1}
        with pytest.raises(AttributeError, match="setter"):
            made.fixed = 5


def test_an_instance_that_no_step_runs_with_takes_any_attribute():
    made = Plain()
    made.anything = 5
    assert made.anything == 5


def test_two_instances_of_one_class_have_contexts_of_their_own():
    one, other = Plain(), Plain()
    with step_context(Context(total=1)) as outer, step_context(Context(total=2)) as inner:
        bind(one, outer)
        bind(other, inner)
        one.context = Context(total=3)
        assert (outer.context.total, inner.context.total) == (3, 2)


def test_a_class_without_a_dict_is_refused():
    class Bare:
        __slots__ = ()

    with pytest.raises(DeclarationError, match="Bare has __slots__"):
        guard(Bare)


def test_a_class_that_hides_what_the_engine_sets_is_refused():
    class Hiding:
        def run_id(self):
            return 5

    with pytest.raises(DeclarationError, match=r"Hiding\.run_id hides"):
        guard(Hiding)


def test_a_class_may_declare_the_engines_attributes_for_a_type_checker():
    class Declaring:
        context: Context
        run_id = 0

    guard(Declaring)
    made = Declaring()
    with step_context(Context()) as running:
        bind(made, running, run_id=7)
    assert made.run_id == 7
