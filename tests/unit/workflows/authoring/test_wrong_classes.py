"""A class whose runs could not start, or whose steps could not be called, is refused at import."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import wraps

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, RootModel, model_validator

from django_ai.automation.workflows.authoring.inputs import inputs_of
from django_ai.automation.workflows.authoring.registry import registry
from django_ai.automation.workflows.core import complete, event_workflow, step, wait, workflow
from django_ai.automation.workflows.exceptions import DeclarationError, UnknownWorkflow
from django_ai.automation.workflows.statezero_action import statezero_action


class Data(BaseModel):
    number: int = 0


def declare(**body):
    return workflow("wrong")(type("Wrong", (), body))


def refused(sentence):
    return pytest.raises(DeclarationError, match=sentence)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: step(stat=True), r"@step takes no 'stat'\. Did you mean 'start'\?"),
        (lambda: workflow("x", retry=None), r"@workflow takes no 'retry'\."),
        (lambda: event_workflow("x", offset_minute=5), r"@event_workflow takes no 'offset_minute'\. Did you mean"),
        (lambda: statezero_action(serialiser=None), r"@statezero_action takes no 'serialiser'\. Did you mean 'serial"),
        (lambda: step(start="yes"), r"@step\(start='yes'\) must be True or False"),
        (lambda: step(atomic=None), r"@step\(atomic=None\) must be True or False"),
        (lambda: step(queue=5), r"@step\(queue=5\) must be the name of a Celery queue"),
        (lambda: step(display="Title"), r"@step\(display='Title'\) must be a StepDisplayMetadata"),
        (lambda: step(aliases=["x" * 201]), "a list of names"),
        (lambda: workflow("x", queue="")(type("X", (), {})), r"@workflow\(queue=''\)"),
        (lambda: statezero_action(name=5), r"@statezero_action\(name=5\)"),
        (lambda: statezero_action(name="x" * 201), "1 to 200 characters"),
        (lambda: event_workflow("x" * 201), "1 to 200 characters"),
        (lambda: event_workflow("x", name=5), r"not @event_workflow\('x', name=…\)\(5\)"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(call, sentence):
    with refused(sentence):
        call()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"offset": 60}, r"@event_workflow\('paid'\): offset= takes a timedelta"),
        ({"offset": 60, "offset_minutes": 5}, "offset= takes a timedelta"),
        ({"offset_minutes": "5"}, "offset_minutes= takes a number"),
        ({"debounce": 5}, "debounce= takes a positive timedelta, not 5"),
        ({"debounce": timedelta(0)}, "debounce= takes a positive timedelta"),
        ({"debounce_key": len}, "needs debounce= beside it"),
        ({"debounce": timedelta(1), "debounce_key": "{entity.id}"}, "must be a function, not '{entity.id}'"),
        ({"debounce": timedelta(1), "debounce_key": lambda: 1}, "cannot be called that way"),
    ],
)
def test_a_trigger_that_makes_no_sense_is_refused(options, sentence):
    with refused(sentence):
        event_workflow("paid", **options)


class Numbered:
    def __init__(self, number): ...


class Abstract(ABC):
    @abstractmethod
    def missing(self): ...


@dataclass
class Fields:
    number: int


@pytest.mark.parametrize(
    ("base", "sentence"),
    [
        (Numbered, r"its __init__ needs number, .*class Context\(BaseModel\)"),
        (Fields, "@dataclass makes an __init__ that needs number"),
        (Abstract, "is abstract, for it does not define missing"),
        (type("Slotted", (), {"__slots__": ()}), "has __slots__"),
    ],
)
def test_a_class_that_cannot_be_instantiated_is_refused_with_its_line(base, sentence):
    place = re.escape(f"({__file__}:") if base.__name__ != "Slotted" else ""
    with refused(f"{base.__name__}.*{place}.*{sentence}"):
        workflow("wrong")(base)


def test_a_class_whose_arguments_have_defaults_is_fine():
    @workflow("fine")
    @dataclass
    class Fine:
        number: int = 0

    assert registry.get("fine").cls is Fine


def after(self, subflow_result): ...


def misspelt(self, subflow_results): ...


def asks(self, amount): ...


def by_position(self, subflow_result=None, /): ...


def by_keyword(*, self): ...


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (misspelt, r"'subflow_results', which nothing supplies\. Did you mean 'subflow_result'\?"),
        (asks, r"'amount', which nothing supplies\. .*self\.context.*@statezero_action\(\)"),
        (by_position, r"by position only"),
        (by_keyword, r"needs the parameter self"),
    ],
)
def test_a_parameter_that_nothing_supplies_is_refused_with_the_line(function, sentence):
    place = re.escape(f"{__file__}:{function.__code__.co_firstlineno}")
    with refused(rf"Wrong\.asks \({place}\) .*{sentence}"):
        declare(asks=step()(function))


def with_amount(function):
    @wraps(function)
    def called(self, *, note=""):
        return function(self, 5)

    return called


def passing_on(function):
    @wraps(function)
    def called(*args, **kwargs):
        return function(*args, amount=5, **kwargs)

    return called


def awaits(self, amount, subflow_result): ...


@pytest.mark.parametrize(
    ("decorator", "function", "parameters"),
    [
        (with_amount, asks, {"note"}),
        (passing_on, asks, {"amount", "kwargs"}),
        (passing_on, awaits, {"amount", "subflow_result", "kwargs"}),
    ],
)
def test_a_decorator_may_supply_what_a_step_takes(decorator, function, parameters):
    declare(first=step(start=True)(decorator(asks)), asks=step()(decorator(function)))
    found = registry.get("wrong").steps["asks"]
    assert (found.parameters, found.required) == (parameters, frozenset())


def test_a_start_step_has_no_child_s_result():
    with refused(r"is the start step and takes 'subflow_result'.*subflow_result=None"):
        declare(after=step(start=True)(after))


def test_the_parameters_of_a_form_and_the_result_of_a_child_are_supplied():
    declare(asks=statezero_action()(step(start=True)(asks)), after=step()(after))
    assert registry.get("wrong").steps["asks"].required == {"amount"}


@pytest.mark.parametrize("length", [201])
def test_a_step_whose_name_no_column_holds_is_refused(length):
    with refused("has a name of 201 characters"):
        declare(**{"x" * length: step(start=True)(lambda self: complete())})


def test_one_function_under_two_names_is_refused():
    @step()
    def shared(self): ...

    with refused(r"Wrong\.right .*is the step 'left' already.*Write a def of its own for 'right'"):
        declare(left=shared, right=shared)
    with refused(r"Wrong\.other .*is the step 'left' already"):
        declare(other=shared)
    assert registry.get("wrong") is None
    declare(left=shared)


def test_a_step_that_wraps_another_one_keeps_its_own_name():
    from functools import wraps

    @step()
    def one(self): ...

    declare(one=one)

    @step()
    @wraps(one)
    def two(self):
        return one(self)

    assert list(registry.get("wrong").steps) == ["one"]
    declare(two=two, one=one)


def test_a_step_that_is_overridden_without_its_decorator_is_refused():
    class Mixin:
        @step()
        def second(self): ...

    def second(self): ...

    with refused(r"Heir\.second .*overrides a step of a base class.*@step\(\): add it\..*second = None"):
        workflow("heir")(type("Heir", (Mixin,), {"second": second}))
    workflow("heir")(type("Heir", (Mixin,), {"second": None}))
    assert not registry.get("heir").steps


def test_a_wait_whose_on_timeout_is_no_step_is_refused_with_the_nearest():
    @wait("x", timeout=5, on_timeout="lat")
    @step(start=True)
    def first(self): ...

    late = step()(lambda self: complete())
    with refused(r"Wrong\.first .*on_timeout='lat' is no step of Wrong\. Did you mean 'late'\?"):
        declare(first=first, late=late)


class Names(str, Enum):  # noqa: UP042 - whose text is not its value
    PAID = "paid"


def test_a_member_of_an_enumeration_names_a_workflow_by_its_value():
    workflow(Names.PAID)(type("Paid", (), {}))
    assert type(registry.get("paid").name) is str
    event_workflow(Names.PAID)(type("OnPaid", (), {}))
    assert registry.get("paid:OnPaid").trigger.event == "paid"


@pytest.mark.parametrize("name", [["paid"], {}, None, 5, type("Free", (), {})()])
def test_what_is_no_name_of_a_workflow_is_told_so(name):
    with pytest.raises(UnknownWorkflow, match="A workflow is given as its class or its name"):
        registry.find(name)


def test_an_instance_of_a_workflow_is_told_from_its_class():
    with pytest.raises(UnknownWorkflow, match=r"an instance of Wrong: leave out the parentheses"):
        registry.find(declare()())


# Hooks


def create_context(cls): ...


def takes_number(cls, number): ...


def takes_something(cls, occurrence): ...


async def in_vain(cls, **kwargs): ...


@pytest.mark.parametrize(
    ("hooks", "sentence"),
    [
        ({"create_context": create_context}, r"Wrong\.create_context \(.*\) is called on the class: .*@classmethod"),
        ({"create_context": classmethod(in_vain)}, "not async"),
        ({"create_context": 5}, "must be a class method, not 5"),
        ({"should_run_for_event": takes_something}, "decorate it with @classmethod"),
        ({"should_run_for_event": classmethod(create_context)}, "is called with one event; it cannot be called"),
        ({"should_run_for_event": classmethod(in_vain)}, "not async"),
    ],
)
def test_a_hook_that_cannot_be_called_is_refused(hooks, sentence):
    with refused(sentence):
        declare(Context=Data, **hooks)


def test_a_hook_of_an_event_workflow_takes_an_event_and_nothing_else():
    body = {"Context": Data, "create_context": classmethod(takes_something)}
    with refused(r"needs 'occurrence', and is called with event where events start runs: .*name it 'event'"):
        event_workflow("paid")(type("OnPaid", (), body))
    with refused(r"is called with event and events .*name it 'events'"):
        event_workflow("paid", debounce=timedelta(1))(type("OnPaid", (), body))
    workflow("paid")(type("Paid", (), {"Context": Data, "create_context": classmethod(takes_number)}))


# What a run takes when it starts


def names_of(**body):
    declare(**body)
    return inputs_of(registry.get("wrong"))


class Aliased(BaseModel):
    one: int = Field(alias="uno")
    two: int = Field(0, validation_alias=AliasChoices("due", AliasPath("dos", 0)))
    three: int = Field(0, serialization_alias="tre")


class ByName(Aliased):
    model_config = ConfigDict(populate_by_name=True)


def test_a_context_takes_its_fields_by_the_names_that_pydantic_reads():
    assert names_of(Context=Aliased).names == {"uno", "due", "dos", "three"}
    assert names_of(Context=ByName).names == {"one", "uno", "two", "due", "dos", "three"}
    assert names_of(Context=ByName).missing({"one": 1}) == names_of(Context=ByName).missing({"uno": 1}) == []
    assert names_of(Context=Aliased).missing({"one": 1}) == ["uno"]


class Before(Data):
    @model_validator(mode="before")
    @classmethod
    def fill_in(cls, data):
        return data


class After(Data):
    @model_validator(mode="after")
    def look(self):
        return self


@pytest.mark.parametrize(
    ("context", "anything"),
    [
        (Data, False),
        (After, False),
        (Before, True),
        (type("Open", (Data,), {"model_config": ConfigDict(extra="allow"), "__module__": __name__}), True),
        (type("Made", (Data,), {"__init__": lambda self, **data: None, "__module__": __name__}), True),
        (RootModel[dict[str, int]], True),
    ],
)
def test_a_context_whose_own_code_reads_what_is_given_takes_any_name(context, anything):
    assert (names_of(Context=context).unknown({"strange": 1}) is None) is anything


def test_create_context_takes_its_parameters():
    inputs = names_of(Context=Data, create_context=classmethod(lambda cls, code, *, number=0: None))
    assert (inputs.names, inputs.missing({}), inputs.unknown({"cod": 1})) == ({"code", "number"}, ["code"], "cod")
    assert names_of(Context=Data, create_context=classmethod(lambda cls, **more: None)).anything
