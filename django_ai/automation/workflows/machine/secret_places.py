"""The places in a Context that hold secrets, read from its JSON schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from .changes import ABSENT, is_omitted

# What is shown in place of a secret.
MASK = "••••••••"

# The marks of a secret: our own, and JSON Schema's for what is written and not read back.
_MARKS = ("sensitive", "writeOnly")

# The keys of our own in a generated schema: the further names of a field, and a type of which pydantic knows no schema.
_NAMES = "x-django-ai-names"
_UNREADABLE = "x-django-ai-unreadable"

_SCALARS = {"string", "number", "integer", "boolean"}
_OBJECT_KEYS = ("properties", "additionalProperties", "patternProperties")
_ARRAY_KEYS = ("items", "prefixItems")

# A value that is nested deeper than this is masked as a whole.
DEEPEST = 100


class _Generator(GenerateJsonSchema):
    """Names each field by its name, keeps its aliases beside it, and marks ``Secret[T]``, which pydantic does not."""

    ignored_warning_kinds = {"non-serializable-default", "skipped-choice", "skipped-discriminator"}

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
        return {_UNREADABLE: error_info}

    def json_or_python_schema(self, schema: Any) -> dict[str, Any]:
        found = super().json_or_python_schema(schema)
        functions = (schema["python_schema"].get("function"), schema.get("serialization"))
        is_secret = any(_is_of_secrets(part.get("function")) for part in functions if isinstance(part, Mapping))
        return {**found, "writeOnly": True} if is_secret else found

    def model_field_schema(self, schema: Any) -> dict[str, Any]:
        return _with_names(schema, super().model_field_schema(schema))

    def dataclass_field_schema(self, schema: Any) -> dict[str, Any]:
        return _with_names(schema, super().dataclass_field_schema(schema))

    def typed_dict_field_schema(self, schema: Any) -> dict[str, Any]:
        return _with_names(schema, super().typed_dict_field_schema(schema))


def _is_of_secrets(function: Any) -> bool:
    name = getattr(function, "__qualname__", "").lower()
    return getattr(function, "__module__", "") == "pydantic.types" and "secret" in name


def _with_names(field: Mapping[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    given = (field.get("validation_alias"), field.get("serialization_alias"))
    names = {name for alias in given for name in _aliases(alias)}
    return {**schema, _NAMES: sorted(names)} if names else schema


def _aliases(alias: Any) -> Iterator[str]:
    """Yield the keys that an alias stands for; a path into a nested object is none."""
    if isinstance(alias, str):
        yield alias
    elif isinstance(alias, list):
        paths = alias if alias and isinstance(alias[0], list) else [alias]
        yield from (path[0] for path in paths if len(path) == 1 and isinstance(path[0], str))


@dataclass(frozen=True)
class _Schema:
    """One JSON schema without references, with the definitions for those below it."""

    json: Mapping[str, Any]
    definitions: Mapping[str, Any]

    @cached_property
    def kinds(self) -> frozenset[str]:
        """Which JSON values it describes; empty where it says nothing."""
        declared = self.json.get("type", ())
        kinds = {declared} if isinstance(declared, str) else set(declared)
        if any(key in self.json for key in _OBJECT_KEYS):
            kinds.add("object")
        if any(key in self.json for key in _ARRAY_KEYS):
            kinds.add("array")
        if "enum" in self.json or "const" in self.json:
            kinds.add("string")
        return frozenset(kinds)

    @property
    def is_marked(self) -> bool:
        return any(self.json.get(mark) for mark in _MARKS) or self.json.get("format") == "password"

    def has_secret(self, part: str) -> bool:
        """Return whether a schema that this one refers to by ``part`` holds a secret."""
        inner = self.json.get(part)
        return isinstance(inner, Mapping) and Place.of(inner, self.definitions).holds_secrets

    def of_key(self, key: str) -> Iterator[Mapping[str, Any]]:
        """Yield the schemas of an object's value; an empty one where anything goes."""
        properties = self.json.get("properties", {})
        named = [each for name, each in properties.items() if key == name or key in each.get(_NAMES, ())]
        if named:
            yield from named
            return
        yield from self.json.get("patternProperties", {}).values()
        further = self.json.get("additionalProperties", not any(part in self.json for part in _OBJECT_KEYS))
        if further is not False:
            yield {} if further is True else further

    def of_item(self, index: int) -> Iterator[Mapping[str, Any]]:
        """Yield the schemas of an array's item; an empty one where anything goes."""
        first: Sequence[Any] = self.json.get("prefixItems", ())
        if index < len(first):
            yield first[index]
        elif "items" in self.json or not first:
            items = self.json.get("items", True)
            if items is not False:
                yield {} if items is True else items

    def parts(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the schemas directly below, by the field's name or ``[]``."""
        yield from self.json.get("properties", {}).items()
        below = [*self.json.get("patternProperties", {}).values(), *self.json.get("prefixItems", ())]
        below += [self.json.get(key) for key in ("additionalProperties", "items", "contentSchema")]
        yield from (("[]", part) for part in below if isinstance(part, Mapping))


@dataclass(frozen=True)
class Place:
    """A place in a Context, with the alternative schemas of its value. Without any, it is not declared."""

    schemas: tuple[_Schema, ...]

    @classmethod
    def of(cls, json: Mapping[str, Any], definitions: Mapping[str, Any]) -> Place:
        """Return the place that a JSON schema describes."""
        return cls(tuple(_flat(json, definitions)))

    @cached_property
    def is_secret(self) -> bool:
        """Whether nothing of it is shown: it is marked, its keys are, or it is not declared."""
        return not self.schemas or any(each.is_marked for each in self.schemas) or self.has_secret_keys

    @cached_property
    def has_secret_keys(self) -> bool:
        """Whether the keys of an object are secrets."""
        return any(each.has_secret("propertyNames") for each in self.schemas)

    @cached_property
    def holds_secrets(self) -> bool:
        """Whether it, or a place below it, is secret."""
        return any(place.is_secret for _, place in self.walk())

    def walk(self) -> Iterator[tuple[str, Place]]:
        """Yield this place and all below, each schema once, with their dotted paths."""
        seen: set[int] = set()
        waiting = [("", self)]
        while waiting:
            path, place = waiting.pop()
            yield path, place
            for schema in place.schemas:
                if id(schema.json) not in seen:
                    seen.add(id(schema.json))
                    below = [(name, Place.of(part, schema.definitions)) for name, part in schema.parts()]
                    waiting += [(f"{path}.{name}".lstrip(".").replace(".[]", "[]"), part) for name, part in below]

    @cached_property
    def known(self) -> tuple[_Schema, ...]:
        """The alternatives that describe the value."""
        return tuple(each for each in self.schemas if each.kinds - {"null"})

    @property
    def is_opaque(self) -> bool:
        """Whether any value may stand there, so that its secret parts are unknown."""
        return bool(self.schemas) and not self.known and any(not each.kinds for each in self.schemas)

    @cached_property
    def shows_scalars(self) -> bool:
        """Whether a text or number is shown there; in the place of an object that has secrets it is not."""
        scalars = [each for each in self.known if each.kinds & _SCALARS]
        if scalars or not self.known:
            return not any(each.has_secret("contentSchema") for each in scalars)
        return not self.holds_secrets

    @property
    def takes_text(self) -> bool:
        """Whether a text may stand there as it is."""
        return any("string" in each.kinds for each in self.schemas)

    def key(self, name: str) -> Place:
        """Return the place of an object's value."""
        return self._below(each for schema in self._of("object") for each in _placed(schema, schema.of_key(name)))

    def item(self, index: int) -> Place:
        """Return the place of an array's item."""
        return self._below(each for schema in self._of("array") for each in _placed(schema, schema.of_item(index)))

    def _of(self, kind: str) -> Iterator[_Schema]:
        return (each for each in self.known if kind in each.kinds)

    def _below(self, found: Iterator[_Schema]) -> Place:
        schemas = tuple(found)
        return ANYTHING if not schemas and self.is_opaque else Place(schemas)


def _placed(schema: _Schema, found: Iterable[Mapping[str, Any]]) -> Iterator[_Schema]:
    for json in found:
        yield from _flat(json, schema.definitions)


def _flat(json: Any, definitions: Mapping[str, Any], seen: frozenset[str] = frozenset()) -> Iterator[_Schema]:
    """Yield the alternatives of a schema, its references resolved."""
    if not isinstance(json, Mapping):
        return
    reference = json.get("$ref", "")
    combined = [part for key in ("anyOf", "oneOf", "allOf") for part in json.get(key, ())]
    alone = _Schema(json, definitions)
    if not (reference or combined) or alone.is_marked or alone.kinds:
        yield alone
    if reference and reference not in seen:
        target = definitions.get(reference.rpartition("/")[2])
        yield from _flat(target, definitions, seen | {reference})
    for part in combined:
        yield from _flat(part, definitions, seen)


UNDECLARED = Place(())
ANYTHING = Place((_Schema({}, {}),))


@lru_cache(maxsize=512)
def places_of(context_class: type[BaseModel] | None) -> Place:
    """Return the place of a whole context; all of it is secret where there is no class, or no schema of it."""
    if context_class is None:
        return UNDECLARED
    try:
        # The schemas for reading and for writing may differ: a place is secret if either says so.
        schemas = [
            context_class.model_json_schema(by_alias=False, schema_generator=_Generator, mode=mode)
            for mode in ("validation", "serialization")
        ]
    except Exception:  # noqa: BLE001 - the project's code takes part, and may raise anything
        return UNDECLARED
    return Place(tuple(each for json in schemas for each in _flat(json, json.get("$defs", {}))))


def masked(place: Place, value: Any, depth: int = 0) -> Any:
    """Return a JSON value with its secrets masked."""
    if value in (None, "", ABSENT) or is_omitted(value):
        return value
    if place.is_secret or depth > DEEPEST:
        return MASK
    if place.is_opaque:
        return value
    if isinstance(value, Mapping):
        return {key: masked(place.key(key), part, depth + 1) for key, part in value.items()}
    if isinstance(value, list):
        return [masked(place.item(index), part, depth + 1) for index, part in enumerate(value)]
    return value if place.shows_scalars else MASK


def declared(place: Place, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that the Context declares, of arguments some of which are for the project's own code."""
    return {key: value for key, value in data.items() if place.key(key).schemas}


def unseen(context_class: type[BaseModel]) -> list[str]:
    """Return the paths of the fields whose types do not declare their secrets; the empty path is the whole context.

    A field that is marked with ``sensitive`` as False is left out, with all below it.
    """
    try:
        json = context_class.model_json_schema(by_alias=False, schema_generator=_Generator)
    except Exception:  # noqa: BLE001 - the project's code takes part, and may raise anything
        return [""]
    return list(dict.fromkeys(_unseen("", Place.of(json, json.get("$defs", {})), set())))


def _unseen(path: str, place: Place, seen: set[int]) -> Iterator[str]:
    if place.is_secret:
        return
    if place.is_opaque:
        yield path
    for schema in place.schemas:
        if id(schema.json) not in seen:
            seen.add(id(schema.json))
            if schema.json.get("additionalProperties") is True and not schema.json.get("properties"):
                yield path
            for name, part in schema.parts():
                below = f"{path}{name}" if name == "[]" else f"{path}.{name}".lstrip(".")
                if part.get("sensitive") is not False:
                    yield from _unseen(below, Place.of(part, schema.definitions), seen)
