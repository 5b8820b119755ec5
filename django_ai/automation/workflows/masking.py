"""Context fields that nobody is to read: masked in every place that shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic.fields import FieldInfo

from .authoring.registry import registry
from .machine.changes import ABSENT, is_omitted
from .models import WorkflowRun

MASK = "••••••••"

# A secret this short would mask half of every text.
SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True)
class Mask:
    """What of a run's data may be read; without a Context class, as for code that is gone, none of it."""

    context_class: type[BaseModel] | None
    secrets: tuple[str, ...] = ()

    @classmethod
    def of(cls, run: WorkflowRun) -> Mask:
        """Return the mask of a run, which knows its present secrets so that texts can be cleared of them."""
        return cls(context_class_of(run.name, run.version)).knowing([run.data])

    def knowing(self, contexts: Iterable[Mapping[str, Any]]) -> Mask:
        """Return a mask that also knows the secrets in these contexts, or fields of contexts."""
        found = {secret for data in contexts for secret in _texts(self.hidden(data))}
        # The longest first, for one may be the beginning of another.
        return Mask(self.context_class, tuple(sorted({*self.secrets, *found}, key=len, reverse=True)))

    def data(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return a context, or fields of one, with what is sensitive masked."""
        if self.context_class is None:
            return dict.fromkeys(data, MASK)
        return _masked(self.context_class, data)

    def changes(self, changes: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Return what was changed, with what is sensitive masked."""
        before, after = ({name: sides[side] for name, sides in changes.items()} for side in (0, 1))
        shown = self.data(before), self.data(after)
        return {name: [_side(before[name], shown[0][name]), _side(after[name], shown[1][name])] for name in changes}

    def text(self, text: str) -> str:
        """Return a text, such as an error, cleared of the run's secrets."""
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        return text

    def hidden(self, data: Mapping[str, Any]) -> list[Any]:
        """Return the values that ``data`` does not show."""
        return list(_hidden(data, self.data(data)))

    def is_sensitive(self, name: str) -> bool:
        """Say whether a field of the context is masked as a whole."""
        return self.context_class is None or name in sensitive_fields(self.context_class)


def context_class_of(name: str, version: str) -> type[BaseModel] | None:
    """Return the Context class of a workflow, or None where the code no longer has it."""
    definition = registry.get(name, version)
    return definition.context_class if definition else None


def sensitive_fields(context_class: type[BaseModel]) -> set[str]:
    """Return the names, and the keys in JSON, of the fields that are masked as a whole."""
    found = ((name, field) for name, field in context_class.model_fields.items() if _is_sensitive(field))
    return {key for name, field in found for key in (name, field.alias or name)}


def has_secrets(context_class: type[BaseModel] | None) -> bool:
    """Say whether a context may hold anything that is masked, however deep; of one that is gone, it may."""
    if context_class is None or sensitive_fields(context_class):
        return True
    parts = {part for field in context_class.model_fields.values() for part in _parts(field.annotation)}
    return any(has_secrets(part) for part in parts - {context_class} if _is_model(part))


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _is_sensitive(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    marked = isinstance(extra, Mapping) and bool(extra.get("sensitive"))
    return marked or any(_is_secret(part) for part in _parts(field.annotation))


def _is_secret(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, SecretStr | SecretBytes)


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield a type and all that it is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _masked(context_class: type[BaseModel], data: Mapping[str, Any]) -> dict[str, Any]:
    fields = {key: field for name, field in context_class.model_fields.items() for key in (name, field.alias or name)}
    return {key: _value(fields[key], value) if key in fields else value for key, value in data.items()}


def _value(field: FieldInfo, value: Any) -> Any:
    if value in (None, "") or value == ABSENT or is_omitted(value):
        return value
    if _is_sensitive(field):
        return MASK
    for context_class in filter(_is_model, _parts(field.annotation)):
        value = _nested(context_class, value)
    return value


def _nested(context_class: type[BaseModel], value: Any) -> Any:
    """Mask the fields of a nested model, wherever in lists and objects it is."""
    if isinstance(value, list):
        return [_nested(context_class, item) for item in value]
    if not isinstance(value, dict):
        return value
    masked = _masked(context_class, value)
    known = context_class.model_fields.keys()
    return {key: part if key in known else _nested(context_class, part) for key, part in masked.items()}


def _hidden(value: Any, shown: Any) -> Iterator[Any]:
    if isinstance(value, Mapping) and isinstance(shown, Mapping):
        for key, part in value.items():
            yield from _hidden(part, shown[key])
    elif isinstance(value, list) and isinstance(shown, list):
        for part, shown_part in zip(value, shown, strict=True):
            yield from _hidden(part, shown_part)
    elif shown == MASK:
        yield value


def _side(value: Any, shown: Any) -> Any:
    return value if value == ABSENT or is_omitted(value) else shown


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if len(value) >= SHORTEST_SECRET:
            yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
    elif value is not None and not isinstance(value, bool):
        yield from _texts(str(value))
