"""Errors about contexts that do not fit their class: they name each field, and quote no secret."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from ..exceptions import ContextInvalid, pydantic_faults
from .redaction import Redactor, secrets_in, told
from .secret_places import places_of


def unfit(context_class: type[BaseModel], data: object, error: Exception, intro: str = "") -> ContextInvalid:
    """Return an error about a context as ContextInvalid, whose cause is cleared of secrets.

    Args:
        data: JSON, or the context itself.
        intro: the beginning of the error; by default, that the data do not fit the class.
    """
    intro = intro or f"The context does not fit {context_class.__qualname__}"
    if isinstance(error, ValidationError):
        return misfit(intro, context_class, data, error)
    clear = redactor(context_class, data)
    invalid = ContextInvalid(f"{intro}: {type(error).__name__}: {clear(str(error))}")
    invalid.__cause__ = told(error, clear)
    return invalid


def misfit(intro: str, context_class: type[BaseModel], data: object, error: ValidationError) -> ContextInvalid:
    """Return pydantic's error about ``data`` as one of ours; to be raised from None, for pydantic's quotes the values.

    ContextInvalid has the faults too, by field.
    """
    clear = redactor(context_class, data)
    faults = [(clear(field), clear(reason)) for field, reason in pydantic_faults(error.errors(include_input=False))]
    invalid = ContextInvalid(f"{intro}: {'; '.join(f'{field}: {reason}' for field, reason in faults)}.")
    invalid.faults = faults
    return invalid


def redactor(context_class: type[BaseModel], data: Any) -> Redactor:
    """Return a redactor of the secrets in a context."""
    return Redactor(secrets_in(places_of(context_class), data))
