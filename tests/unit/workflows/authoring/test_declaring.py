"""A class that is declared wrongly is refused at import, with an error that says what to write."""

import re
from datetime import timedelta
from functools import cached_property, partial, partialmethod

import pytest
from pydantic import BaseModel

from django_ai.automation.workflows.authoring.registry import registry
from django_ai.automation.workflows.authoring.workflow import EmptyContext
from django_ai.automation.workflows.core import Retry, complete, event_workflow, goto, step, wait, workflow
from django_ai.automation.workflows.exceptions import (
    ContextMissing,
    DeclarationError,
    DuplicateWorkflow,
    InvalidCommand,
    NoStartStep,
    UnknownStep,
    UnknownWorkflow,
)
from django_ai.automation.workflows.statezero_action import statezero_action


def declared(name, **body):
    return workflow(name)(type(name.title(), (), body))


def first(self):
    return complete()


def test_two_start_steps_are_refused_by_name():
    with pytest.raises(DeclarationError, match=r"'twice' \(Twice\) has several start steps: one, two"):

        @workflow("twice")
        class Twice:
            @step(start=True)
            def one(self): ...

            @step(start=True)
            def two(self): ...

    assert registry.get("twice") is None


def test_a_name_of_two_classes_is_refused_naming_both_and_the_first_stays():
    one = declared("taken")
    with pytest.raises(DuplicateWorkflow) as caught:
        workflow("taken")(type("Other", (), {}))
    assert f"{__name__}.Taken" in str(caught.value)
    assert f"{__name__}.Other" in str(caught.value)
    assert registry.get("taken").cls is one


def test_the_very_same_class_again_replaces_the_one_before():
    old, new = declared("reloaded"), declared("reloaded")
    assert old is not new
    assert registry.get("reloaded").cls is new
    assert [definition.name for definition in registry].count("reloaded") == 1


def test_versions_of_one_name_live_side_by_side_and_the_newest_is_the_default():
    first_version = workflow("v", version="1")(type("One", (), {}))
    second_version = workflow("v", version="2")(type("Two", (), {}))
    assert registry.get("v").cls is registry.find("v").cls is second_version
    assert registry.get("v", "1").cls is first_version
    assert registry.get("v", "gone").cls is second_version


def test_a_definition_that_is_removed_is_forgotten_and_only_that_one():
    workflow("w", version="1")(type("One", (), {}))
    definition = registry.get("w")
    workflow("w", version="2")(type("Two", (), {}))
    registry.remove(definition)
    registry.remove(definition)
    assert registry.get("w", "1").version == "2"
    registry.remove(registry.get("w"))
    assert registry.get("w") is None


def test_an_alias_that_another_step_has_is_refused_naming_both():
    class Clash:
        @step()
        def one(self): ...

        @step(aliases=["one"])
        def two(self): ...

    with pytest.raises(DeclarationError, match=r"Clash\.two has the alias 'one', which is the step 'one'"):
        workflow("clash")(Clash)


def test_an_alias_of_two_steps_is_refused_naming_both():
    class Clash:
        @step(aliases=["old"])
        def one(self): ...

        @step(aliases=["old"])
        def two(self): ...

    with pytest.raises(DeclarationError, match=r"Clash\.two has the alias 'old', which is an alias of 'one'"):
        workflow("clash")(Clash)
    assert registry.get("clash") is None


@pytest.mark.parametrize("aliases", ["old", [1], [""], None, {"old": "new"}])
def test_aliases_that_are_no_list_of_names_are_refused(aliases):
    with pytest.raises(DeclarationError, match="a list of names"):
        step(aliases=aliases)


@pytest.mark.parametrize("context", [dict, object(), "Context", type("Context", (), {})])
def test_a_context_that_is_no_pydantic_model_is_refused(context):
    with pytest.raises(DeclarationError, match=r"Wrong\.Context must be a pydantic BaseModel"):
        declared("wrong", Context=context)


def test_create_context_without_a_context_is_a_value_error():
    with pytest.raises(ValueError, match="must define a Context class") as caught:
        declared("contextless", create_context=classmethod(lambda cls: None))
    assert isinstance(caught.value, ContextMissing)


def test_a_class_without_a_context_has_an_empty_one():
    declared("plain")
    assert registry.get("plain").context_class is EmptyContext


def test_steps_contexts_and_waits_are_inherited_in_the_order_of_the_class_bodies():
    class Base:
        class Context(BaseModel):
            number: int = 0

        @step(start=True)
        def one(self): ...

        @step()
        def two(self): ...

    class Heir(Base):
        @wait("x", correlate="{number}")
        @step()
        def three(self): ...

        @step(queue="slow")
        def one(self): ...

        two = None

    workflow("heir")(Heir)
    definition = registry.get("heir")
    assert list(definition.steps) == ["one", "three"]
    assert definition.context_class is Base.Context
    assert (definition.steps["one"].queue, definition.steps["one"].start) == ("slow", False)
    assert definition.steps["three"].entry.correlate == "{number}"


def test_step_without_parentheses_is_refused():
    with pytest.raises(DeclarationError, match=r"@step\(\) with parentheses above first"):
        step(first)


def test_step_with_a_positional_argument_is_refused():
    with pytest.raises(DeclarationError, match="start=True"):
        step("start")


@pytest.mark.parametrize("attribute", ["__workflow_entry_wait__", "__workflow_action__"])
def test_a_wait_or_a_form_without_step_is_refused(attribute):
    def asks(self): ...

    setattr(asks, attribute, wait("x"))
    with pytest.raises(DeclarationError, match=r"Lacking\.asks \(.*\) has @\w+ but no @step\(\)"):
        declared("lacking", asks=asks)


def test_a_decorated_wait_cannot_name_the_step_that_follows_its_body():
    @wait("x", then="other")
    @step(start=True)
    def asks(self): ...

    with pytest.raises(DeclarationError, match=r"Decorated\.asks.*leave out then="):
        declared("decorated", asks=asks)


def test_a_form_cannot_wait_for_something_else_first():
    @wait("x")
    @statezero_action()
    @step(start=True)
    def asks(self): ...

    with pytest.raises(DeclarationError, match=r"Decorated\.asks.*put the wait for 'x' on a step before"):
        declared("decorated", asks=asks)


async def coroutine(self): ...


def generator(self):
    yield


async def async_generator(self):
    yield


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (coroutine, r"is async def, and async steps are not supported yet: .*async_to_sync"),
        (generator, r"contains yield, which makes it a generator: .*return goto\(self\.other\)"),
        (async_generator, r"is an async generator \(async def with yield\)"),
    ],
)
def test_a_step_that_is_no_plain_method_is_told_by_its_word_and_line(function, sentence):
    place = re.escape(f"{__file__}:{function.__code__.co_firstlineno}")
    with pytest.raises(DeclarationError, match=rf"Strange\.asks \({place}\) {sentence}"):
        declared("strange", asks=step()(function))


@pytest.mark.parametrize("kind", [staticmethod, classmethod, property, cached_property, partialmethod])
@pytest.mark.parametrize("is_outside", [True, False])
def test_what_is_called_otherwise_than_a_method_is_no_step(kind, is_outside):
    def asks(self):
        return complete()

    with pytest.raises(DeclarationError, match=rf"asks .*{kind.__name__}"):
        declared("strange", asks=kind(step()(asks)) if is_outside else step()(kind(asks)))


@pytest.mark.parametrize("decorator", [step(), wait("x"), statezero_action()])
@pytest.mark.parametrize("decorated", [type("Class", (), {}), partial(first), 5])
def test_a_decorator_of_steps_decorates_a_function(decorator, decorated):
    with pytest.raises(DeclarationError, match="decorates a plain method"):
        decorator(decorated)


def test_a_step_needs_self():
    with pytest.raises(DeclarationError, match=r"Selfless\.asks .* needs the parameter self"):
        declared("selfless", asks=step()(lambda: None))


def test_a_step_is_found_by_its_attribute_whatever_its_function_is_called():
    class Made:
        one = step(start=True)(lambda self: goto(self.two))
        two = step()(lambda self: complete())

    workflow("made")(Made)
    assert goto(Made().two).step == "two"


@pytest.mark.parametrize("name", ["", None, 5, type("Bare", (), {})])
def test_a_workflow_needs_a_name(name):
    for decorator in (workflow, event_workflow):
        with pytest.raises(DeclarationError, match=decorator.__name__):
            decorator(name)


@pytest.mark.parametrize("options", [{"version": ""}, {"version": 1}, {"version": "1" * 51}, {"name": "n" * 201}])
def test_a_name_or_version_that_the_table_cannot_hold_is_refused(options):
    with pytest.raises(DeclarationError, match="must be a text of 1 to"):
        workflow(**{"name": "long", **options})(type("Long", (), {}))


def test_a_workflow_is_a_class():
    with pytest.raises(DeclarationError, match="decorates a class"):
        workflow("function")(first)


@pytest.mark.parametrize("retry", [3, Retry, "often"])
def test_a_retry_is_a_retry(retry):
    with pytest.raises(DeclarationError, match=r"Retry\(\.\.\.\)"):
        step(retry=retry)
    with pytest.raises(DeclarationError, match="default_retry="):
        workflow("retried", default_retry=retry)(type("Retried", (), {}))


@pytest.mark.parametrize(
    "options",
    [
        {"max_attempts": 0},
        {"max_attempts": 2.5},
        {"base_delay": timedelta(seconds=-1)},
        {"base_delay": 5},
        {"max_delay": timedelta(seconds=-1)},
        {"backoff_factor": 0.5},
        {"backoff_factor": float("nan")},
        {"backoff_factor": float("inf")},
        {"backoff_factor": "2"},
        {"jitter": -0.1},
        {"jitter": 1.1},
        {"non_retryable": ValueError},
        {"non_retryable": (ValueError, "KeyError")},
    ],
)
def test_a_retry_that_makes_no_sense_is_refused_by_its_argument(options):
    [name] = options
    with pytest.raises(InvalidCommand, match=rf"Retry\({name}="):
        Retry(**options)


def test_a_retry_takes_any_collection_of_exceptions():
    assert not Retry(non_retryable=[KeyError]).allows(KeyError(), 1)


def test_a_workflow_that_is_not_registered_is_named_with_the_nearest():
    declared("payment")
    with pytest.raises(UnknownWorkflow, match=r"'paymnt' is registered\. Did you mean 'payment'"):
        registry.find("paymnt")
    with pytest.raises(UnknownWorkflow, match="imported"):
        registry.find("something else entirely")
    with pytest.raises(UnknownWorkflow, match="EmptyContext is no workflow"):
        registry.find(EmptyContext)
    with pytest.raises(UnknownWorkflow, match="42"):
        registry.find(42)


def test_a_subclass_of_a_workflow_is_none_until_it_is_declared():
    heir = type("Heir", (declared("parent_of_heir"),), {})
    with pytest.raises(UnknownWorkflow, match="Heir is no workflow"):
        registry.find(heir)


def test_a_step_that_is_not_there_is_named_with_the_nearest():
    declared("stepped", first=step(start=True)(first))
    definition = registry.get("stepped")
    with pytest.raises(UnknownStep, match=r"has no step 'frist'\. Did you mean 'first'"):
        definition.step("frist")
    with pytest.raises(UnknownStep, match="It has: first"):
        definition.step("zzz")


def test_a_workflow_without_a_start_step_is_declared_and_cannot_start():
    declared("startless")
    definition = registry.get("startless")
    with pytest.raises(NoStartStep, match=r"'startless' cannot start: declare one step of Startless"):
        _ = definition.start
