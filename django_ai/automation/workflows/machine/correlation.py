"""The correlation key of a wait: a text with names of context fields in braces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import Formatter

from pydantic import BaseModel

from ... import storable
from ...signatures import did_you_mean
from ..exceptions import InvalidCommand
from .commands import Wait
from .secret_places import places_of

# The most characters of a key in the table of suspensions.
LONGEST_KEY = 200


def fields_of(template: str) -> list[str]:
    """Return the names of the fields in a template such as ``"{order_id}"``.

    Raises:
        InvalidCommand: it holds anything but plain names: an attribute, an index, a conversion, a format.
    """
    return [name for _, name in _parts(template) if name is not None]


def check_wait(wait: Wait, context_class: type[BaseModel]) -> None:
    """Check the names in a wait against the Context.

    Raises:
        InvalidCommand: a field is not declared, or is a secret that would stand in a key for all to read.
    """
    if wait.accepts is None and wait.correlate is None:
        return
    if wait.accepts is not None and (unknown := wait.accepts.undeclared(context_class)):
        hint = did_you_mean(unknown[0], context_class.model_fields, "It declares")
        raise InvalidCommand(
            f"The wait for {wait.name!r} takes {', '.join(map(repr, unknown))}, which the Context does not declare."
            f" {hint}"
        )
    for name in fields_of(wait.correlate or ""):
        _check_field(wait, name, context_class)


def _check_field(wait: Wait, name: str, context_class: type[BaseModel]) -> None:
    where = f"correlate={wait.correlate!r} of the wait for {wait.name!r}"
    field = context_class.model_fields.get(name)
    if field is None and context_class.model_config.get("extra") != "allow":
        hint = did_you_mean(name, context_class.model_fields, "It declares")
        raise InvalidCommand(f"{where}: the Context does not declare {name!r}. {hint}")
    if field is not None and places_of(context_class).key(name).holds_secrets:
        raise InvalidCommand(f"{where}: {name!r} is a secret or holds one, and a key can be read by everybody.")


def correlation_key(wait: Wait, context: BaseModel) -> str | None:
    """Return the key that a wait has for a run with this context, None where it names none.

    Raises:
        InvalidCommand: the context lacks a field, or the key is too long.
    """
    if wait.correlate is None:
        return None
    values = dict(context)
    texts = []
    for literal, name in _parts(wait.correlate):
        texts.append(literal)
        if name is not None:
            texts.append(_text(wait, name, values))
    key = "".join(texts)
    if len(key) > LONGEST_KEY:
        raise InvalidCommand(
            f"correlate={wait.correlate!r} of the wait for {wait.name!r} gives a key of {len(key)} characters;"
            f" at most {LONGEST_KEY} are possible."
        )
    if fault := storable.fault_of(key):
        raise InvalidCommand(f"correlate={wait.correlate!r} of the wait for {wait.name!r} gives {fault} as its key.")
    return key


def _text(wait: Wait, name: str, values: dict[str, object]) -> str:
    where = f"correlate={wait.correlate!r} of the wait for {wait.name!r}"
    if name not in values:
        raise InvalidCommand(f"{where} cannot be filled in from the context: it has no {name!r}.")
    if _is_secret(values[name]):
        raise InvalidCommand(f"{where}: {name!r} is a secret or holds one, and a key can be read by everybody.")
    try:
        return format(values[name])
    except (TypeError, ValueError) as error:
        raise InvalidCommand(f"{where} cannot be filled in from the context: {name}: {error}") from error


def _is_secret(value: object) -> bool:
    """Return whether a value is a secret or holds one, as it may where the Context takes anything."""
    if hasattr(value, "get_secret_value"):
        return True
    if isinstance(value, BaseModel):
        return places_of(type(value)).holds_secrets or any(_is_secret(part) for _, part in value)
    if isinstance(value, Mapping):
        return any(_is_secret(part) for part in value.values())
    return isinstance(value, list | tuple | set | frozenset) and any(_is_secret(part) for part in value)


def _parts(template: str) -> Iterator[tuple[str, str | None]]:
    """Yield the literal texts of a template, each with the name that follows it."""
    try:
        for literal, name, spec, conversion in Formatter().parse(template):
            if name is not None and (spec or conversion or not name.isidentifier()):
                rest = f"!{conversion}" * bool(conversion) + f":{spec}" * bool(spec)
                raise InvalidCommand(
                    f"correlate={template!r}: only names of context fields may stand in braces, such as {{order_id}},"
                    f" not {{{name}{rest}}}."
                )
            yield literal, name
    except ValueError as error:
        if isinstance(error, InvalidCommand):
            raise
        raise InvalidCommand(f"correlate={template!r} is no template: {error}.") from error
