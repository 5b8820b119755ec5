"""Contexts in and out of JSON, always validated."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError

from ..exceptions import ContextInvalid, pydantic_reasons

ContextT = TypeVar("ContextT", bound=BaseModel)


def load(context_class: type[ContextT], data: Mapping[str, Any]) -> ContextT:
    """Return ``data`` as a context. Raises ContextInvalid, which names each field at fault."""
    try:
        return context_class.model_validate(data)
    except ValidationError as error:
        raise ContextInvalid(
            f"The context does not fit {context_class.__qualname__}: {pydantic_reasons(error.errors())}."
        ) from error


def dump(context: BaseModel) -> dict[str, Any]:
    """Return a context as JSON-ready data. Raises ContextInvalid where an assigned value has a wrong type.

    pydantic does not check assignments by default, so what a step left behind is validated here.
    """
    with warnings.catch_warnings():
        # pydantic warns of a value of a wrong type; the validation below says it as an error.
        warnings.simplefilter("ignore")
        try:
            data = context.model_dump(mode="json", by_alias=True, round_trip=True)
        except ValueError as error:
            raise ContextInvalid(f"The context cannot be stored as JSON: {error}") from error
    data.update(_secrets(context))
    load(type(context), data)
    return data


def merge(context: ContextT, payload: Mapping[str, Any]) -> ContextT:
    """Return the context with the declared fields of ``payload`` replaced. Raises ContextInvalid."""
    known = _accepted(context, payload)
    if not known:
        return context
    return load(type(context), {**_python(context), **known})


def _accepted(context: BaseModel, payload: Mapping[str, Any]) -> dict[str, Any]:
    if type(context).model_config.get("extra") == "allow":
        return dict(payload)
    accepted = {}
    for name, field in type(context).model_fields.items():
        key = field.alias or name
        for spelling in (name, key):
            if spelling in payload:
                accepted[key] = payload[spelling]
    return accepted


def _python(context: BaseModel) -> dict[str, Any]:
    # Fields as they stand; a nested model is taken as it is, for pydantic accepts instances.
    fields = type(context).model_fields
    return {(fields[name].alias or name) if name in fields else name: value for name, value in context}


def _secrets(context: BaseModel) -> dict[str, Any]:
    # pydantic dumps a secret as asterisks, which would lose it.
    return {name: _reveal(value) for name, value in context if isinstance(value, SecretStr | SecretBytes)}


def _reveal(secret: SecretStr | SecretBytes) -> str:
    value = secret.get_secret_value()
    return value.decode() if isinstance(value, bytes) else value
