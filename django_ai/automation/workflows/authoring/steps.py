"""The @step decorator, and how the steps of a class are read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

from django.utils.functional import Promise

from ..exceptions import DeclarationError
from ..machine.commands import ENTRY_ATTRIBUTE, Wait
from ..machine.definition import Retry, StepDefinition
from ..metadata import StepDisplayMetadata

Function = TypeVar("Function", bound=Callable[..., Any])

# In seconds. A thread cannot wait for much longer, nor should anybody for a step.
LONGEST_TIMEOUT = 30 * 86_400

# The attributes under which decorators leave their options on a step's function.
STEP_ATTRIBUTE = "__workflow_step__"
NAME_ATTRIBUTE = "__workflow_step_name__"
ACTION_ATTRIBUTE = "__workflow_action__"


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
        DeclarationError: written without parentheses, or with a retry that is no Retry, with
            aliases that are no list of names, with a timeout that is no time, a title that is no text
            or a visible that is no bool.
    """
    if undecorated is not None:
        above = f" above {undecorated.__name__}" if inspect.isfunction(undecorated) else ""
        raise DeclarationError(f"Write @step() with parentheses{above}; its options have names, as start=True.")
    check_retry(retry, "@step(retry=)")
    options = StepOptions(
        start, retry, queue, atomic, display, _names(aliases), _time(timeout), _title(title), _visible(visible)
    )

    def decorate(function: Function) -> Function:
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


def _title(title: Any) -> str | None:
    # A lazy translation is a text too: it is translated when it is shown.
    if title is None or isinstance(title, str | Promise):
        return title  # type: ignore[return-value]
    raise DeclarationError(f"@step(title={title!r}) must be a text.")


def _visible(visible: object) -> bool:
    if isinstance(visible, bool):
        return visible
    raise DeclarationError(f"@step(visible={visible!r}) must be True or False.")


def _names(aliases: object) -> tuple[str, ...]:
    names = tuple(aliases) if isinstance(aliases, list | tuple | set | frozenset) else (None,)
    if not all(isinstance(name, str) and name for name in names):
        raise DeclarationError(f"@step(aliases={aliases!r}) must be a list of names that the step had before.")
    return names


def read_steps(cls: type) -> dict[str, StepDefinition]:
    """Return the steps of a class, inherited ones first, in the order of the class bodies.

    Raises:
        DeclarationError: a step is no plain method, or two steps claim one name.
    """
    names = dict.fromkeys(name for base in reversed(cls.__mro__) for name in vars(base))
    found = {name: getattr(cls, name, None) for name in names if name.isidentifier()}
    steps = {
        name: _definition(cls, name, function) for name, function in found.items() if _is_decorated(cls, name, function)
    }
    _check_aliases(cls, steps)
    return steps


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
    if hasattr(function, STEP_ATTRIBUTE):
        return True
    for attribute, decorator in ((ENTRY_ATTRIBUTE, "wait"), (ACTION_ATTRIBUTE, "statezero_action")):
        if inspect.isfunction(function) and hasattr(function, attribute):
            raise DeclarationError(f"{cls.__name__}.{name} has @{decorator} but no @step(): add it.")
    return False


def _definition(cls: type, name: str, function: Any) -> StepDefinition:
    _check_method(cls, name, function)
    options: StepOptions = getattr(function, STEP_ATTRIBUTE)
    action = getattr(function, ACTION_ATTRIBUTE, None)
    # A decorator may have given the function another name than the one that self.step has.
    setattr(function, NAME_ATTRIBUTE, name)
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
        parameters=frozenset(list(inspect.signature(function).parameters)[1:]),
    )


def _entry(name: str, function: Callable[..., Any], action: Any) -> Wait | None:
    return getattr(function, ENTRY_ATTRIBUTE, None) if action is None else replace(action.wait, name=name)


def _check_method(cls: type, name: str, function: Callable[..., Any]) -> None:
    where = f"{cls.__name__}.{name}"
    special = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if not inspect.isfunction(function) or any(kind(function) for kind in special):
        raise DeclarationError(f"{where}: a step is a plain method, not {function!r}.")
    if not inspect.signature(function).parameters:
        raise DeclarationError(f"{where} is a method and needs the parameter self.")
    entry: Wait | None = getattr(function, ENTRY_ATTRIBUTE, None)
    if entry is not None and entry.then is not None:
        raise DeclarationError(f"{where}: after a wait that decorates a step its body runs, so leave out then=.")
    if entry is not None and hasattr(function, ACTION_ATTRIBUTE):
        raise DeclarationError(
            f"{where} waits for its form already: put the wait for {entry.name!r} on a step before it."
        )


def check_retry(retry: object, where: str) -> None:
    """Raise DeclarationError unless ``retry`` is a Retry or None."""
    if not isinstance(retry, Retry | None):
        raise DeclarationError(f"{where} takes a Retry(...), not {retry!r}.")
