"""Contexts in and out of JSON, always validated."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, PrivateAttr, ValidationError
from pydantic_core import to_jsonable_python

from ..exceptions import ContextInvalid, pydantic_faults
from .redaction import Redactor, secrets_in, told
from .secret_places import places_of

ContextT = TypeVar("ContextT", bound=BaseModel)

# What pydantic dumps in place of a secret.
ASTERISKS = "**********"


class Unfitting(BaseModel, extra="allow"):
    """A context that no longer fits its class, carried along unread until code comes that it fits.

    A run that waits takes its answer all the same, or a deployment could lose it; the worker that
    runs the next step says what does not fit.
    """

    _declared: type[BaseModel] = PrivateAttr()

    @classmethod
    def of(cls, context_class: type[BaseModel], data: Mapping[str, Any]) -> Unfitting:
        """Return ``data`` as what is left of a context of this class."""
        return cls.model_validate(data).declared_by(context_class)

    def declared_by(self, context_class: type[BaseModel]) -> Unfitting:
        """Say whose fields these should be, and return this."""
        self._declared = context_class
        return self

    @property
    def declared_class(self) -> type[BaseModel]:
        """The class whose fields these should be."""
        return self._declared

    def merged(self, payload: Mapping[str, Any]) -> Unfitting:
        """Return this with the declared fields of ``payload`` replaced, unread like the others."""
        known = known_fields(self._declared, payload)
        return Unfitting.of(self._declared, {**_python(self), **known})


def class_of(context: BaseModel) -> type[BaseModel]:
    """Return the Context class of a context, also of one that no longer fits it."""
    return context.declared_class if isinstance(context, Unfitting) else type(context)


def load(context_class: type[ContextT], data: Mapping[str, Any]) -> ContextT:
    """Return ``data`` as a context. Raises ContextInvalid, which names each field at fault."""
    intro = f"The context does not fit {context_class.__qualname__}"
    try:
        return context_class.model_validate(data)
    except ValidationError as error:
        # Not "from error": pydantic's own text quotes the values.
        raise misfit(intro, context_class, data, error) from None
    except Exception as error:  # noqa: BLE001 - pydantic lets pass what a validator of the user's raises otherwise
        clear = _redactor(context_class, data)
        text = f"{intro}: {type(error).__name__}: {clear(str(error))}"
        raise ContextInvalid(text) from told(error, clear)


def misfit(
    intro: str, context_class: type[BaseModel], data: Mapping[str, Any], error: ValidationError
) -> ContextInvalid:
    """Return pydantic's error about ``data`` as one of ours, which does not quote the secrets in them.

    ContextInvalid has the faults too, by field.
    """
    clear = _redactor(context_class, data)
    faults = [(clear(field), clear(reason)) for field, reason in pydantic_faults(error.errors(include_input=False))]
    invalid = ContextInvalid(f"{intro}: {'; '.join(f'{field}: {reason}' for field, reason in faults)}.")
    invalid.faults = faults
    return invalid


def _redactor(context_class: type[BaseModel], data: Any) -> Redactor:
    return Redactor(secrets_in(places_of(context_class), data))


def dump(context: BaseModel) -> dict[str, Any]:
    """Return a context as JSON-ready data. Raises ContextInvalid where an assigned value has a wrong type.

    pydantic does not check assignments by default, so what a step left behind is validated here.
    """
    try:
        # A value of a wrong type only makes pydantic warn; the validation below says it as an error.
        data: dict[str, Any] = context.model_dump(mode="json", by_alias=True, round_trip=True, warnings=False)
        if ASTERISKS in str(data):
            data = _reveal(data, context.model_dump(by_alias=True, round_trip=True, warnings=False))
    except ValueError as error:
        raise ContextInvalid(f"The context cannot be stored as JSON: {error}") from error
    load(type(context), data)
    return data


def merge(context: BaseModel, payload: Mapping[str, Any]) -> BaseModel:
    """Return the context with the declared fields of ``payload`` replaced. Raises ContextInvalid."""
    if isinstance(context, Unfitting):
        return context.merged(payload)
    known = known_fields(type(context), payload)
    if not known:
        return context
    return load(type(context), {**_python(context), **known})


def known_fields(context_class: type[BaseModel], payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of ``payload`` that the Context declares, by the keys under which they are stored."""
    if context_class.model_config.get("extra") == "allow":
        return dict(payload)
    accepted = {}
    for name, field in context_class.model_fields.items():
        key = field.alias or name
        for spelling in (name, key):
            if spelling in payload:
                accepted[key] = payload[spelling]
    return accepted


def _python(context: BaseModel) -> dict[str, Any]:
    # Fields as they stand; a nested model is taken as it is, for pydantic accepts instances.
    fields = type(context).model_fields
    return {(fields[name].alias or name) if name in fields else name: value for name, value in context}


def _reveal(dumped: Any, value: Any) -> Any:
    """Return JSON in which the asterisks of each secret of ``value`` have become the secret, which would be lost."""
    if hasattr(value, "get_secret_value"):
        return to_jsonable_python(value.get_secret_value())
    if isinstance(dumped, dict) and isinstance(value, Mapping):
        return {key: _reveal(part, inner) for (key, part), inner in zip(dumped.items(), value.values(), strict=True)}
    if isinstance(dumped, list) and isinstance(value, list | tuple | set | frozenset | deque):
        return [_reveal(part, inner) for part, inner in zip(dumped, value, strict=True)]
    return dumped
