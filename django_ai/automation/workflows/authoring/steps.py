"""The @step decorator, and how the steps of a class are read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

from django.utils.functional import Promise

from ...signatures import did_you_mean, strict
from ..exceptions import DeclarationError
from ..machine.commands import ENTRY_ATTRIBUTE, Wait
from ..machine.definition import Retry, StepDefinition
from ..metadata import StepDisplayMetadata
from .methods import (
    ACTION_ATTRIBUTE,
    LONGEST_NAME,
    NAME_ATTRIBUTE,
    STEP_ATTRIBUTE,
    check_decorated,
    check_method,
    inner_function,
    parameters_of,
    required_parameters,
    where,
)

Function = TypeVar("Function", bound=Callable[..., Any])

# In seconds. A thread cannot wait for much longer, nor should anybody for a step.
LONGEST_TIMEOUT = 30 * 86_400


@dataclass(frozen=True, slots=True)
class StepOptions:
    """The arguments of @step."""

    start: bool
    retry: Retry | None
    queue: str | None
    atomic: bool
    display: StepDisplayMetadata | None
    aliases: tuple[str, ...]
    timeout: timedelta | None
    title: str | None
    visible: bool


@strict("@step", DeclarationError)
def step(
    undecorated: object = None,
    /,
    *,
    start: bool = False,
    retry: Retry | None = None,
    queue: str | None = None,
    atomic: bool = True,
    display: StepDisplayMetadata | None = None,
    aliases: Sequence[str] = (),
    timeout: timedelta | float | None = None,
    title: str | None = None,
    visible: bool = True,
) -> Callable[[Function], Function]:
    """Make a method a step of its workflow.

    Args:
        start: the run begins here; exactly one step of a workflow has it.
        retry: overrides the workflow's ``default_retry``.
        queue: the Celery queue whose workers run it; by default the workflow's, then the project's.
        atomic: run the step in one database transaction together with the run's move to the next
            step, so that what it writes happens exactly once. False for long calls to the outside.
        display: how the step is shown to a person.
        aliases: names that the step had before. Runs that stand at one of them go on here.
        timeout: for how long an attempt may run, as a timedelta or in seconds. Then it is broken off and
            counts as failed. The step of a form runs in the request and is not bounded by it.
        title: the step's name for people, ``step_title`` in the ``step_display`` of a run that is there.
        visible: False for a step that a list of the run's steps leaves out; ``visible`` in the ``step_display``.

    Raises:
        DeclarationError: written without parentheses, above something else than a method, or with an
            option that makes no sense.
    """
    if undecorated is not None:
        above = f" above {undecorated.__name__}" if inspect.isfunction(undecorated) else ""
        raise DeclarationError(f"Write @step() with parentheses{above}; its options have names, as start=True.")
    check_retry(retry, "@step(retry=)")
    check_options("@step", start=start, atomic=atomic, queue=queue, display=display, title=title, visible=visible)
    options = StepOptions(start, retry, queue, atomic, display, _names(aliases), _time(timeout), title, visible)

    def decorate(function: Function) -> Function:
        check_decorated("@step()", function)
        setattr(function, STEP_ATTRIBUTE, options)
        return function

    return decorate


def _time(timeout: object) -> timedelta | None:
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= LONGEST_TIMEOUT:
        raise DeclarationError(f"@step(timeout={timeout!r}) must be a timedelta or seconds, and at most 30 days.")
    return timedelta(seconds=seconds)


def _names(aliases: object) -> tuple[str, ...]:
    names = tuple(aliases) if isinstance(aliases, list | tuple | set | frozenset) else (None,)
    if not all(isinstance(name, str) and 0 < len(name) <= LONGEST_NAME for name in names):
        what = f"a list of names that the step had before, each of at most {LONGEST_NAME} characters"
        raise DeclarationError(f"@step(aliases={aliases!r}) must be {what}.")
    return names


# Each option of a decorator: a check of its value, and the words of the error.
_OPTIONS: dict[str, tuple[Callable[[object], bool], str]] = {
    "start": (lambda value: isinstance(value, bool), "True or False"),
    "atomic": (lambda value: isinstance(value, bool), "True or False"),
    "queue": (lambda value: value is None or bool(value and isinstance(value, str)), "the name of a Celery queue"),
    "visible": (lambda value: isinstance(value, bool), "True or False"),
    # A lazy translation is a text too: it is translated when it is shown.
    "title": (lambda value: isinstance(value, str | Promise | None), "a text"),
    "display": (lambda value: isinstance(value, StepDisplayMetadata | None), "a StepDisplayMetadata"),
}


def check_options(decorator: str, **options: object) -> None:
    """Raise DeclarationError where an option of a decorator has a value that makes no sense."""
    for name, value in options.items():
        is_right, what = _OPTIONS[name]
        if not is_right(value):
            raise DeclarationError(f"{decorator}({name}={value!r}) must be {what}.")


def read_steps(cls: type) -> dict[str, StepDefinition]:
    """Return the steps of a class, inherited ones first, in the order of the class bodies.

    Raises:
        DeclarationError: a step is no plain method, or two steps claim one name.
    """
    names = dict.fromkeys(name for base in reversed(cls.__mro__) for name in vars(base))
    found = {name: inspect.getattr_static(cls, name, None) for name in names if name.isidentifier()}
    steps = {
        name: _definition(cls, name, function) for name, function in found.items() if _is_decorated(cls, name, function)
    }
    _check_aliases(cls, steps)
    _check_timeouts(cls, steps)
    for name, step in steps.items():
        _claim_name(cls, name, step.function)
    return steps


def _claim_name(cls: type, name: str, function: Any) -> None:
    """Keep a step's name on its function, for a decorator may have given that another one than ``self.step`` has."""
    taken = getattr(function, NAME_ATTRIBUTE, name)
    # functools.wraps copies the attributes of a step that a new one is made of.
    copied = getattr(getattr(function, "__wrapped__", None), NAME_ATTRIBUTE, None)
    if taken not in (name, copied):
        raise DeclarationError(
            f"{where(cls, name, function)} is the step {taken!r} already, of this class or another, so"
            f" goto(self.{name}) could not tell them apart. Write a def of its own for {name!r}."
        )
    setattr(function, NAME_ATTRIBUTE, name)


def _check_timeouts(cls: type, steps: Mapping[str, StepDefinition]) -> None:
    known = {*steps, *(alias for step in steps.values() for alias in step.aliases)}
    for step in steps.values():
        target = step.entry.on_timeout if step.entry else None
        if target is not None and target not in known:
            text = f"{where(cls, step.name, step.function)}: on_timeout={target!r} is no step of {cls.__name__}."
            raise DeclarationError(f"{text} {did_you_mean(target, steps, 'The steps are')}")


def _check_aliases(cls: type, steps: Mapping[str, StepDefinition]) -> None:
    owners = {name: name for name in steps}
    for step in steps.values():
        for alias in step.aliases:
            owner = owners.setdefault(alias, step.name)
            if owner != step.name or alias == step.name:
                what = "the step" if owner == alias else "an alias of"
                raise DeclarationError(
                    f"{cls.__name__}.{step.name} has the alias {alias!r}, which is {what} {owner!r}:"
                    " a run that stands there would not know where to go."
                )


def _is_decorated(cls: type, name: str, function: Any) -> bool:
    inner = inner_function(function)
    if hasattr(function, STEP_ATTRIBUTE) or hasattr(inner, STEP_ATTRIBUTE):
        return True
    for attribute, decorator in ((ENTRY_ATTRIBUTE, "wait"), (ACTION_ATTRIBUTE, "statezero_action")):
        if inspect.isfunction(inner) and hasattr(inner, attribute):
            raise DeclarationError(f"{where(cls, name, inner)} has @{decorator} but no @step(): add it.")
    overridden = (vars(base).get(name) for base in cls.__mro__)
    if inspect.isfunction(inner) and any(hasattr(each, STEP_ATTRIBUTE) for each in overridden):
        raise DeclarationError(
            f"{where(cls, name, inner)} overrides a step of a base class and is none itself, for it has no"
            f" @step(): add it. To drop the step, write {name} = None."
        )
    return False


def _definition(cls: type, name: str, function: Any) -> StepDefinition:
    check_method(cls, name, function)
    options: StepOptions = getattr(function, STEP_ATTRIBUTE)
    action = getattr(function, ACTION_ATTRIBUTE, None)
    if options.start and action is None and (needed := required_parameters(function)):
        raise DeclarationError(
            f"{where(cls, name, function)} is the start step and takes {needed[0]!r}, which no run has when it starts:"
            f" give it a default, as {needed[0]}=None."
        )
    return StepDefinition(
        name=name,
        function=function,
        start=options.start,
        retry=options.retry,
        queue=options.queue,
        atomic=options.atomic,
        display=options.display or getattr(action, "display", None),
        entry=_entry(name, function, action),
        action=action,
        aliases=options.aliases,
        timeout=options.timeout,
        title=options.title,
        visible=options.visible,
        parameters=frozenset(item.name for item in parameters_of(function)[1:]),
        required=frozenset(required_parameters(function)),
    )


def _entry(name: str, function: Callable[..., Any], action: Any) -> Wait | None:
    return getattr(function, ENTRY_ATTRIBUTE, None) if action is None else replace(action.wait, name=name)


def check_retry(retry: object, where: str) -> None:
    """Raise DeclarationError unless ``retry`` is a Retry or None."""
    if not isinstance(retry, Retry | None):
        raise DeclarationError(f"{where} takes a Retry(...), not {retry!r}.")
