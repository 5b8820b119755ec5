"""Contexts in and out of JSON: always validated, and stored only if they are read back unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeVar

from pydantic import BaseModel, PrivateAttr
from pydantic_core import from_json, to_json

from .keys import keys_of, named, readable, replaced, stored
from .storing import as_json, read, unfit

ContextT = TypeVar("ContextT", bound=BaseModel)


class Unfitting(BaseModel, extra="allow"):
    """A context that no longer fits its class: it stays unvalidated until newer code can read it.

    A run that waits takes its answer all the same, or a deployment could lose it; the worker that
    runs the next step says what does not fit.
    """

    _declared: type[BaseModel] = PrivateAttr()

    @classmethod
    def of(cls, context_class: type[BaseModel], data: Mapping[str, Any]) -> Unfitting:
        """Return ``data`` as what is left of a context of this class."""
        return cls.model_validate(data).declared_by(context_class)

    def declared_by(self, context_class: type[BaseModel]) -> Unfitting:
        """Set the class whose fields these should be, and return this."""
        self._declared = context_class
        return self

    @property
    def declared_class(self) -> type[BaseModel]:
        """The class whose fields these should be."""
        return self._declared

    def merged(self, payload: Mapping[str, Any]) -> Unfitting:
        """Return this with the declared fields of ``payload`` replaced, unread like the others."""
        known = named(self._declared, payload)
        return Unfitting.of(self._declared, replaced(self._declared, dict(self), known))


def class_of(context: BaseModel) -> type[BaseModel]:
    """Return the Context class of a context, also of one that no longer fits it."""
    return context.declared_class if isinstance(context, Unfitting) else type(context)


def load(context_class: type[ContextT], data: Mapping[str, Any]) -> ContextT:
    """Return stored data as a context. Raises ContextInvalid, which names each field at fault."""
    keys = keys_of(context_class)
    if not keys.by_alias:
        data = readable(context_class, data)
    try:
        return read(context_class, to_json(data))
    except Exception as error:  # noqa: BLE001 - pydantic lets pass what a validator of the user's raises otherwise
        # A context that is no JSON to pydantic, such as one with half a surrogate pair, may fit all the same.
        with suppress(Exception):
            return context_class.model_validate(data, by_alias=keys.reads_alias, by_name=True)
        invalid = unfit(context_class, data, error)
        raise invalid from invalid.__cause__


def merge(context: BaseModel, payload: Mapping[str, Any]) -> BaseModel:
    """Return the context with the declared fields of a payload replaced: JSON, or what a model read it as.

    Raises:
        ContextInvalid: a value does not fit, or JSON cannot hold it.
    """
    if isinstance(context, Unfitting):
        return context.merged(payload)
    kind = type(context)
    known = named(kind, payload)
    if not known:
        return context
    written = from_json(as_json(Unfitting.model_validate(known)))
    return load(kind, replaced(kind, from_json(as_json(context)), written))


def replace(context: BaseModel, values: Mapping[str, Any]) -> BaseModel:
    """Return the context with the declared fields among Python ``values`` replaced; ``store`` validates them."""
    known = named(type(context), values)
    return context.model_copy(update=known) if known else context


def known_fields(context_class: type[BaseModel], payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of ``payload`` that the Context declares, by the keys under which they are stored."""
    return stored(context_class, named(context_class, payload))


def edited(context_class: type[ContextT], data: Mapping[str, Any], payload: Mapping[str, Any]) -> ContextT:
    """Return stored data with the declared fields of a JSON payload replaced, as a context. Raises ContextInvalid."""
    return load(context_class, replaced(context_class, readable(context_class, data), named(context_class, payload)))
