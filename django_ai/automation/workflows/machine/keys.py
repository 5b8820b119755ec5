"""The keys under which fields of a Context are stored, and the keys by which a payload may name them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import AliasChoices, AliasPath, BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined


@dataclass(frozen=True, slots=True)
class Keys:
    """How a Context class is written as JSON and read again.

    Attributes:
        by_alias: write the aliases. Otherwise write the names, for an alias that pydantic writes is not
            the one that it reads.
        reads_alias: read aliases too, and not only names. False where a field's alias is another one's name.
    """

    by_alias: bool
    reads_alias: bool


@cache
def keys_of(context_class: type[BaseModel]) -> Keys:
    """Return how a Context class is stored."""
    context_class.model_rebuild()
    groups = list(_field_groups(context_class.__pydantic_core_schema__))
    fields = [field for group in groups for field in group.values()]
    same = all(field.get("validation_alias") == field.get("serialization_alias") for field in fields)
    return Keys(by_alias=same, reads_alias=same or not any(_is_ambiguous(group) for group in groups))


def key_of(context_class: type[BaseModel], name: str) -> str:
    """Return the key under which a field is stored."""
    alias = context_class.model_fields[name].serialization_alias
    return alias if alias and keys_of(context_class).by_alias else name


@cache
def spellings(context_class: type[BaseModel]) -> Mapping[str, tuple[str, ...]]:
    """Return for each field all keys under which it may be found in stored data, the present one first."""
    present = {name: key_of(context_class, name) for name in context_class.model_fields}
    taken = set(present.values())
    found = {}
    for name, field in context_class.model_fields.items():
        earlier = {field.serialization_alias, name} - taken - {None}
        found[name] = (present[name], *sorted(filter(None, earlier)))
    return found


def stored_fields(context_class: type[BaseModel], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of stored data by their names."""
    pairs = ((name, key) for name, keys in spellings(context_class).items() for key in reversed(keys))
    return {name: data[key] for name, key in pairs if key in data}


def named(context_class: type[BaseModel], payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the declared fields of a payload by their names; it may name them by any alias that pydantic reads.

    A Context that allows extra fields takes all others too.
    """
    fields = context_class.model_fields
    found = {}
    for name, field in fields.items():
        value = _given(name, field, payload, fields)
        if value is not PydanticUndefined:
            found[name] = value
    if context_class.model_config.get("extra") == "allow":
        taken = {alias for field in fields.values() for alias in _aliases(field)} | fields.keys()
        found.update((key, value) for key, value in payload.items() if key not in taken)
    return found


def stored(context_class: type[BaseModel], by_name: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields by the keys under which they are stored."""
    fields = context_class.model_fields
    return {key_of(context_class, name) if name in fields else name: value for name, value in by_name.items()}


def replaced(context_class: type[BaseModel], data: Mapping[str, Any], by_name: Mapping[str, Any]) -> dict[str, Any]:
    """Return stored data with some fields replaced, whichever keys the data has for them."""
    fields = context_class.model_fields
    old = {key for name in by_name if name in fields for key in spellings(context_class)[name]}
    kept = {key: value for key, value in data.items() if key not in old}
    return {**kept, **stored(context_class, by_name)}


def readable(context_class: type[BaseModel], data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return data that are stored by name with the names where an earlier release wrote aliases."""
    fields = context_class.model_fields
    aliases = {field.serialization_alias: name for name, field in fields.items() if name not in data}
    renamed = {alias: name for alias, name in aliases.items() if alias and alias not in fields}
    return {renamed.get(key, key): value for key, value in data.items()}


def all_keys(name: str, field: FieldInfo) -> set[str]:
    """Return every key that may stand for a field, in stored data or in a payload."""
    return {name, *_aliases(field), *(str(path.path[0]) for path in _paths(field))}


def excluded(context_class: type[BaseModel]) -> list[str]:
    """Return the fields, of the Context or of what it is made of, that pydantic never writes."""
    context_class.model_rebuild()
    groups = _field_groups(context_class.__pydantic_core_schema__)
    return sorted({name for group in groups for name, field in group.items() if field.get("serialization_exclude")})


def _given(name: str, field: FieldInfo, payload: Mapping[str, Any], fields: Mapping[str, FieldInfo]) -> Any:
    if name in payload:
        return payload[name]
    for alias in _aliases(field):
        if alias in payload and alias not in fields:
            return payload[alias]
    for path in _paths(field):
        value = path.search_dict_for_path(dict(payload))
        if value is not PydanticUndefined:
            return value
    return PydanticUndefined


def _aliases(field: FieldInfo) -> list[str]:
    validation = field.validation_alias
    choices = validation.choices if isinstance(validation, AliasChoices) else [validation]
    return [alias for alias in (field.alias, field.serialization_alias, *choices) if isinstance(alias, str)]


def _paths(field: FieldInfo) -> list[AliasPath]:
    validation = field.validation_alias
    choices = validation.choices if isinstance(validation, AliasChoices) else [validation]
    return [alias for alias in choices if isinstance(alias, AliasPath)]


def _field_groups(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield the fields of each model, dataclass and TypedDict of a core schema, by their names."""
    left, seen = [schema], set()
    while left:
        part = left.pop()
        if not isinstance(part, dict | list | tuple) or id(part) in seen:
            continue
        seen.add(id(part))
        if not isinstance(part, dict):
            left.extend(part)
            continue
        if part.get("type") in ("model-fields", "typed-dict"):
            yield part["fields"]
        elif part.get("type") == "dataclass-args":
            yield {field["name"]: field for field in part["fields"]}
        left.extend(value for key, value in part.items() if key not in ("default", "metadata"))


def _is_ambiguous(fields: Mapping[str, Any]) -> bool:
    """Return whether the alias of one field is, or begins at, the name of another one."""
    return any(
        first in fields and (first != name or rest)
        for name, field in fields.items()
        for first, *rest in _paths_of(field.get("validation_alias"))
    )


def _paths_of(alias: str | list[Any] | None) -> list[list[Any]]:
    """Return the aliases that a core schema has for a field, each as a path: one alias, one path or several."""
    if not alias:
        return []
    if isinstance(alias, str):
        return [[alias]]
    return alias if isinstance(alias[0], list) else [alias]
