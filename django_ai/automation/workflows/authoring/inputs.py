"""What a run can be started with: the arguments of its class's create_context, else the fields of its Context."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import AliasChoices, AliasPath, BaseModel, RootModel
from pydantic.fields import FieldInfo

from ...signatures import closest, did_you_mean, keywords, takes_any_keyword
from ..machine.definition import WorkflowDefinition

# The fields that every event has beside its data.
EVENT_FIELDS = ("event_id", "event_name", "entity_id", "event_at")


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a run takes when it starts.

    Attributes:
        names: every name that is taken.
        in_order: one name for each value, in the order of the declaration.
        required: for each value that must be given, the names under which it may be.
        anything: whether other names are taken too, as by ``**kwargs`` or ``extra="allow"``.
        by_create_context: whether create_context takes them, and not the Context.
    """

    names: frozenset[str]
    in_order: tuple[str, ...]
    required: tuple[frozenset[str], ...]
    anything: bool
    by_create_context: bool

    def unknown(self, given: Mapping[str, object]) -> str | None:
        """Return the first name that nothing takes, or None."""
        return None if self.anything else next((name for name in given if name not in self.names), None)

    def missing(self, given: Mapping[str, object]) -> list[str]:
        """Return the required names that are not given."""
        return [min(names) for names in self.required if names and names.isdisjoint(given)]


def inputs_of(definition: WorkflowDefinition) -> Inputs:
    """Return what a run of this workflow takes when it starts."""
    return _inputs(getattr(definition.cls, "create_context", None), definition.context_class)


def misfit(definition: WorkflowDefinition, given: Mapping[str, Any], *more: str) -> str | None:
    """Return what is wrong with the arguments of a start, or None.

    A field of the Context that is missing is left to pydantic, which also knows why a value does not fit.

    Args:
        more: further names that the author may have meant, such as the options of run_subflow.
    """
    inputs = inputs_of(definition)
    keys: Iterable[object] = given
    if strange := [key for key in keys if not isinstance(key, str)]:
        return f"{definition.name!r} takes fields by names that are texts, not {strange[0]!r}."
    if unknown := inputs.unknown(given):
        names = sorted(inputs.names)
        hint = closest(unknown, [*names, *more]) or did_you_mean(unknown, names)
        return f"{definition.name!r} takes no {unknown!r}. {hint}"
    if inputs.by_create_context and (missing := inputs.missing(given)):
        return f"create_context of {definition.name!r} needs {', '.join(map(repr, missing))}."
    return None


def field_names(context_class: type[BaseModel], name: str, field: FieldInfo) -> frozenset[str]:
    """Return the names by which a field of a Context is given to it."""
    config = context_class.model_config
    alias = field.validation_alias or field.alias
    if alias is None:
        return frozenset({name})
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    by_alias = config.get("validate_by_alias", True)
    return frozenset({*(_spellings(alias) if by_alias else ()), *([name] if by_name else ())})


def _spellings(alias: str | AliasPath | AliasChoices) -> list[str]:
    match alias:
        case AliasChoices(choices=choices):
            return [name for choice in choices for name in _spellings(choice)]
        case AliasPath(path=path):
            return [str(path[0])]
    return [str(alias)]


@lru_cache(maxsize=512)
def _inputs(create_context: Callable[..., object] | None, context_class: type[BaseModel]) -> Inputs:
    if create_context is not None:
        return _of_signature(inspect.signature(create_context))
    fields = context_class.model_fields.items()
    has_own_code = _reads_anything(context_class)
    taken = {name: (field_names(context_class, name, field), field.is_required()) for name, field in fields}
    return Inputs(
        names=frozenset(name for names, _ in taken.values() for name in names),
        in_order=tuple(name if name in names else min(names, default=name) for name, (names, _) in taken.items()),
        required=tuple(names for names, is_required in taken.values() if is_required and not has_own_code),
        anything=has_own_code or context_class.model_config.get("extra") == "allow",
        by_create_context=False,
    )


def _of_signature(signature: inspect.Signature) -> Inputs:
    names = keywords(signature)
    required = [name for name in names if signature.parameters[name].default is inspect.Parameter.empty]
    return Inputs(
        names=frozenset(names),
        in_order=tuple(names),
        required=tuple(frozenset({name}) for name in required),
        anything=takes_any_keyword(signature),
        by_create_context=True,
    )


def _reads_anything(context_class: type[BaseModel]) -> bool:
    """Return whether code of a Context sees all that is given first, and may read other names or fill in fields."""
    decorators = context_class.__pydantic_decorators__
    return (
        issubclass(context_class, RootModel)
        or context_class.__init__ is not BaseModel.__init__
        or bool(decorators.root_validators)
        or any(validator.info.mode in ("before", "wrap") for validator in decorators.model_validators.values())
    )
