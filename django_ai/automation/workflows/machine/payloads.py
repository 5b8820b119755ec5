"""The signals that a wait accepts: the fields of their payloads, and whether they must be fresh."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeGuard

from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from ...signatures import did_you_mean
from ..exceptions import SignalRejected, pydantic_faults
from .keys import all_keys, named
from .redaction import Redactor, told


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepts:
    """Which signals a wait accepts.

    Attributes:
        keys: the keys that a payload may have, each with the field of the Context that it fills; None accepts
            any payload.
        required: the fields that a payload must fill.
        model: the pydantic model that reads the payload, if there is one.
        fresh: whether only a signal counts that was sent after the wait began.
    """

    keys: Mapping[str, str] | None = None
    required: frozenset[str] = frozenset()
    model: type[BaseModel] | None = None
    fresh: bool = False

    @classmethod
    def of_fields(cls, names: Sequence[str], *, fresh: bool) -> Accepts:
        """Return the terms that require exactly these fields of the Context."""
        return cls(keys={name: name for name in names}, required=frozenset(names), fresh=fresh)

    @classmethod
    def of_model(cls, model: type[BaseModel], *, fresh: bool) -> Accepts:
        """Return the terms of a pydantic model: its fields, of which those without a default are required."""
        fields = model.model_fields
        keys = {key: name for name in fields for key in _keys_of_model(model, name)}
        required = frozenset(name for name, info in fields.items() if info.is_required())
        return cls(keys=keys, required=required, model=model, fresh=fresh)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the Context that a payload may fill; only meaningful where ``keys`` is not None."""
        return tuple(dict.fromkeys((self.keys or {}).values()))

    def bound(self, context_class: type[BaseModel]) -> Accepts:
        """Return these terms with the aliases by which the Context takes its fields."""
        if self.keys is None or self.model is not None:
            return self
        known = context_class.model_fields
        more = {key: name for name in self.fields if name in known for key in all_keys(name, known[name])}
        return replace(self, keys={**more, **self.keys})

    def undeclared(self, context_class: type[BaseModel]) -> list[str]:
        """Return the fields that are missing in the Context."""
        if context_class.model_config.get("extra") == "allow":
            return []
        return [name for name in self.fields if name not in context_class.model_fields]

    def read(self, payload: Mapping[str, Any], context_class: type[BaseModel]) -> Mapping[str, Any]:
        """Return the fields of the context that a payload fills.

        Raises:
            SignalRejected: a field is missing, unknown, or does not fit the model; it names each.
        """
        if self.keys is None:
            return payload
        if self.model is not None:
            return _validated(self.model, payload, context_class)
        keys = self.bound(context_class).keys or {}
        # Of a model that is gone the keys are left; the Context has keys of its own.
        given = named(context_class, {self.keys.get(key, key): value for key, value in payload.items() if key in keys})
        faults = [(key, _unknown(key, self.keys)) for key in payload if key not in keys]
        faults += [(name, "Field required") for name in self.fields if name in self.required and name not in given]
        if faults:
            raise _rejected(faults)
        return given

    def stored(self, sequence: int) -> dict[str, Any]:
        """Return these terms as JSON-ready data, for the wait that begins at this sequence of its run."""
        data: dict[str, Any] = {"sequence": sequence}
        if self.fresh:
            data["fresh"] = True
        if self.keys is not None:
            data |= {"keys": dict(self.keys), "required": sorted(self.required)}
        if self.model is not None:
            data["model"] = reference(self.model)
        return data

    @classmethod
    def restored(cls, data: Mapping[str, Any], near: Iterable[object] = ()) -> Accepts:
        """Return the terms that ``stored`` wrote as data.

        If the model is not found, since it was local or has another name now, the names of its fields still hold,
        and the Context validates the values.

        Args:
            near: objects among which the model may be where its module does not have it.
        """
        model = _find(data["model"], near) if "model" in data else None
        fresh = bool(data.get("fresh"))
        if model is not None:
            return cls.of_model(model, fresh=fresh)
        return cls(keys=data.get("keys"), required=frozenset(data.get("required", ())), fresh=fresh)


def spellings(model: type[BaseModel], name: str) -> list[str]:
    """Return the aliases of a field, if it has any, and then its name."""
    alias = model.model_fields[name].validation_alias if name in model.model_fields else None
    choices: Sequence[str | AliasPath] = [alias] if isinstance(alias, str | AliasPath) else []
    if isinstance(alias, AliasChoices):
        choices = alias.choices
    keys = [str(choice.path[0]) if isinstance(choice, AliasPath) else choice for choice in choices]
    return [*keys, name]


def _keys_of_model(model: type[BaseModel], name: str) -> list[str]:
    *aliases, own = spellings(model, name)
    config = model.model_config
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    return [*aliases, own] if by_name or not aliases else aliases


def fields_of(accepts: Accepts, context_class: type[BaseModel]) -> dict[str, tuple[str, FieldInfo]]:
    """Return the fields of the payloads that a wait accepts, each with its name, by the key that a sender gives."""
    model = accepts.model or context_class
    names = [name for name in accepts.fields if name in model.model_fields]
    return {spellings(model, name)[0]: (name, model.model_fields[name]) for name in names}


def reference(model: type[BaseModel]) -> str:
    """Return the text by which a model is found again: its module and its qualified name."""
    return f"{model.__module__}:{model.__qualname__}"


def is_model(value: object) -> TypeGuard[type[BaseModel]]:
    """Return whether a value is a pydantic model."""
    return isinstance(value, type) and issubclass(value, BaseModel)


def _unknown(key: str, known: Iterable[str]) -> str:
    return f"The wait takes no such field. {did_you_mean(key, known)}"


def _rejected(faults: Sequence[tuple[str, str]]) -> SignalRejected:
    return SignalRejected("; ".join(f"{field}: {reason}" for field, reason in faults), faults=faults)


def _validated(model: type[BaseModel], payload: Mapping[str, Any], context_class: type[BaseModel]) -> dict[str, Any]:
    clear = Redactor.of(payload, model, context_class)
    try:
        # As JSON, for a payload is stored as JSON: a strict model takes the text of a date.
        read = closed(model).model_validate_json(json.dumps(dict(payload)))
    except ValidationError as error:
        # Not "from error": pydantic's own text quotes the values.
        keys = [key for name in model.model_fields for key in _keys_of_model(model, name)]
        faults = [_fault(detail, keys) for detail in error.errors(include_input=False)]
        raise _rejected([(clear(field), clear(reason)) for field, reason in faults]) from None
    except Exception as error:  # noqa: BLE001 - pydantic lets pass what a validator of the user's raises otherwise
        raise _rejected([(model.__name__, clear(f"{type(error).__name__}: {error}"))]) from told(error, clear)
    return {name: getattr(read, name) for name in model.model_fields}


def _fault(detail: Any, keys: Sequence[str]) -> tuple[str, str]:
    [(field, reason)] = pydantic_faults([detail])
    if detail["type"] == "extra_forbidden" and len(detail["loc"]) == 1:
        return field, _unknown(field, keys)
    return field if detail["loc"] else "payload", reason


@lru_cache(maxsize=256)
def closed(model: type[BaseModel]) -> type[BaseModel]:
    """Return the model as one that refuses unknown fields, also where its configuration allows them."""
    if model.model_config.get("extra") == "forbid":
        return model
    metaclass: Any = type(model)
    namespace = {"__module__": model.__module__, "model_config": ConfigDict(extra="forbid")}
    made: type[BaseModel] = metaclass(model.__name__, (model,), namespace)
    return made


def _find(text: str, near: Iterable[object]) -> type[BaseModel] | None:
    module, _, path = text.partition(":")
    value: object = sys.modules.get(module)
    for part in path.split("."):
        value = getattr(value, part, None)
    if is_model(value):
        return value
    return next((item for item in near if is_model(item) and reference(item) == text), None)
