"""A context as JSON: validated, read back and compared, so that it is read back unchanged."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json, to_jsonable_python

from ... import storable
from ..exceptions import ContextInvalid, pydantic_faults
from .differences import Difference, differences, is_equal
from .keys import keys_of
from .redaction import Redactor, told

ContextT = TypeVar("ContextT", bound=BaseModel)

# The text that pydantic dumps in place of a secret.
ASTERISKS = "**********"


class Stored(NamedTuple):
    """A context as it is stored: JSON-ready data, and its size in bytes as JSON."""

    data: dict[str, Any]
    size: int


def store(context: BaseModel) -> Stored:
    """Return a context as it is stored.

    Invariant: a stored context is read back unchanged. Values that a step assigned are validated here, for
    pydantic does not check assignments by default.

    Raises:
        ContextInvalid: JSON or a database cannot hold a value, or it would be read back as another one.
    """
    text = as_json(context)
    if not is_equal(_back(context, text), context):
        text = _coerced(context, text)
    data = from_json(text)
    if not isinstance(data, dict):
        kind = type(context).__qualname__
        raise ContextInvalid(f"A {kind} is written as a {type(data).__name__}, and must be an object with its fields.")
    if ("\\u0000" in text or "NaN" in text or "Infinity" in text) and (fault := storable.fault_in(data)):
        raise ContextInvalid(f"The context cannot be stored: {_clear(context, fault)}, which databases refuse.")
    return Stored(data, len(text.encode()))


def as_json(context: BaseModel) -> str:
    """Return a context as JSON text, with its secrets. Raises ContextInvalid where JSON cannot hold a value."""
    by_alias = keys_of(type(context)).by_alias
    try:
        # A value of a wrong type only makes pydantic warn; reading it back says it as an error.
        text = context.model_dump_json(by_alias=by_alias, round_trip=True, warnings=False, fallback=_key)
        if ASTERISKS in text:
            secrets = context.model_dump(by_alias=by_alias, round_trip=True, warnings=False)
            text = to_json(_reveal(from_json(text), secrets)).decode()
    except Exception as error:  # noqa: BLE001 - a serializer of the user's may raise anything
        intro = f"The context cannot be stored as JSON{_culprit(context)}"
        invalid = unfit(type(context), context, error, intro)
        raise invalid from invalid.__cause__
    return text


def read(context_class: type[ContextT], text: str | bytes) -> ContextT:
    """Return JSON text as a context. Raises what pydantic and the validators of the Context raise."""
    return context_class.model_validate_json(text, by_alias=keys_of(context_class).reads_alias, by_name=True)


def unfit(context_class: type[BaseModel], data: object, error: Exception, intro: str = "") -> ContextInvalid:
    """Return an error about a context as ContextInvalid, whose cause is cleared of secrets.

    Args:
        data: JSON, or the context itself.
        intro: the beginning of the error; by default, that the data do not fit the class.
    """
    intro = intro or f"The context does not fit {context_class.__qualname__}"
    if isinstance(error, ValidationError):
        return misfit(intro, context_class, data, error)
    clear = Redactor.of(data, context_class)
    invalid = ContextInvalid(f"{intro}: {type(error).__name__}: {clear(str(error))}")
    invalid.__cause__ = told(error, clear)
    return invalid


def misfit(intro: str, context_class: type[BaseModel], data: object, error: ValidationError) -> ContextInvalid:
    """Return pydantic's error about ``data`` as ContextInvalid, with its ``faults`` by field.

    Raise it from None, for pydantic's own error quotes the values.
    """
    clear = Redactor.of(data, context_class)
    faults = [(clear(field), clear(reason)) for field, reason in pydantic_faults(error.errors(include_input=False))]
    invalid = ContextInvalid(f"{intro}: {'; '.join(f'{field}: {reason}' for field, reason in faults)}.")
    invalid.faults = faults
    return invalid


def _back(context: ContextT, text: str) -> ContextT:
    try:
        return read(type(context), text)
    except Exception as error:  # noqa: BLE001 - pydantic lets pass what a validator of the user's raises otherwise
        invalid = unfit(type(context), context, error)
        raise invalid from invalid.__cause__


def _coerced(context: BaseModel, text: str) -> str:
    """Return the text of a context with the values that pydantic converts, such as "12" to 12.

    Raises:
        ContextInvalid: a value would be another one when it is read.
    """
    found = list(differences(context, _back(context, text)))
    if not found:
        return text
    meant = _revalidated(context)
    text = as_json(meant)
    lost = [difference for difference in found if difference.is_private or isinstance(difference.left, BaseModel)]
    changed = lost or list(differences(meant, _back(meant, text)))
    if changed:
        what = _clear(context, "; ".join(map(_how, changed)))
        raise ContextInvalid(f"The context cannot be stored, for it would be read back changed: {what}.")
    return text


def _how(changed: Difference) -> str:
    where, left, back = changed.path or "context", type(changed.left).__qualname__, type(changed.back).__qualname__
    if changed.is_private:
        return f"{where} is a private attribute, which is not stored; declare a field"
    if left != back:
        return f"{where}: a {left} would be a {back}; declare the field with its type"
    return f"{where}: another {left} (is it excluded, or does a validator or serializer change it each time?)"


def _revalidated(context: ContextT) -> ContextT:
    """Return the context as pydantic validates and converts its values; nested models stay as they are."""
    kind, values = type(context), dict(context)
    try:
        try:
            return kind.model_validate(values, by_alias=False, by_name=True)
        except ValidationError as error:
            # Some types take what they are written as and not what they hold, such as Json.
            names = {str(detail["loc"][0]) for detail in error.errors(include_input=False) if detail["loc"]}
            values.update(context.model_dump(include=names, round_trip=True, warnings=False))
            return kind.model_validate(values, by_alias=False, by_name=True)
    except Exception as error:  # noqa: BLE001 - as in _back
        invalid = unfit(kind, context, error)
        raise invalid from invalid.__cause__


def _clear(context: BaseModel, text: str) -> str:
    return Redactor.of(context, type(context))(text)


def _key(value: Any) -> Any:
    """Return the primary key of a row that a payload's model has read; reading back refuses it elsewhere."""
    if not hasattr(value, "_meta") or value.pk is None:
        raise TypeError(f"a {type(value).__qualname__} is no JSON")
    return value.pk


def _culprit(context: BaseModel) -> str:
    """Return the first field that cannot be written, for an error."""
    for name in (*type(context).model_fields, *(context.__pydantic_extra__ or {})):
        try:
            context.model_dump_json(include={name}, round_trip=True, warnings=False)
        except Exception:  # noqa: BLE001 - a serializer of the user's may raise anything
            return f" ({name})"
    return ""


def _reveal(dumped: Any, value: Any) -> Any:
    """Return JSON in which the asterisks of each secret of ``value`` have become the secret, which would be lost."""
    if hasattr(value, "get_secret_value"):
        return to_jsonable_python(value.get_secret_value())
    if isinstance(dumped, dict) and isinstance(value, Mapping):
        return {key: _reveal(part, inner) for (key, part), inner in zip(dumped.items(), value.values(), strict=True)}
    if isinstance(dumped, list) and isinstance(value, list | tuple | set | frozenset | deque):
        return [_reveal(part, inner) for part, inner in zip(dumped, value, strict=True)]
    return dumped
