"""Which fields of a Context hold secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel

# The name of the method by which pydantic's secret types give their value.
REVEAL = "get_secret_value"


@lru_cache(maxsize=1024)
def holds_secret(context_class: type[BaseModel], name: str) -> bool:
    """Return whether a field is a secret, is marked ``sensitive``, or holds such a value at any depth."""
    field = context_class.model_fields[name]
    marked = isinstance(field.json_schema_extra, Mapping) and bool(field.json_schema_extra.get("sensitive"))
    return marked or any(hasattr(part, REVEAL) for part in _parts(field.annotation)) or _in_schema(context_class, name)


def is_secret_value(value: object) -> bool:
    """Return whether a value is a secret or holds one."""
    if hasattr(value, REVEAL):
        return True
    if isinstance(value, BaseModel):
        return any(holds_secret(type(value), name) for name in type(value).model_fields) or is_secret_value(dict(value))
    parts = value.values() if isinstance(value, Mapping) else value
    return isinstance(parts, list | tuple | set | frozenset | type({}.values())) and any(map(is_secret_value, parts))


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _in_schema(context_class: type[BaseModel], name: str) -> bool:
    try:
        schema = context_class.model_json_schema(by_alias=False)
    except Exception:  # noqa: BLE001 - a type without a schema, or a function of the user's that makes it
        return False
    return _is_marked(schema.get("properties", {}).get(name), schema.get("$defs", {}), frozenset())


def _is_marked(schema: Any, definitions: Mapping[str, Any], seen: frozenset[str]) -> bool:
    if isinstance(schema, list):
        return any(_is_marked(part, definitions, seen) for part in schema)
    if not isinstance(schema, Mapping):
        return False
    if schema.get("sensitive") or schema.get("writeOnly") or schema.get("format") == "password":
        return True
    target = str(schema.get("$ref", "")).rpartition("/")[2]
    if target and target not in seen and _is_marked(definitions.get(target), definitions, seen | {target}):
        return True
    # The keys of "properties" are names that the user chose.
    parts = [*schema.get("properties", {}).values(), *(schema[key] for key in _NESTED if key in schema)]
    return any(_is_marked(part, definitions, seen) for part in parts)


# The keywords of JSON Schema that hold further schemas.
_NESTED = ("items", "prefixItems", "additionalProperties", "anyOf", "oneOf", "allOf", "patternProperties")
