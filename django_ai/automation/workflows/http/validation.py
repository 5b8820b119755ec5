"""The validation of a form: it stops at the first faults, and refuses values that no database can store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DataError
from django.utils.translation import gettext as _
from pydantic import BaseModel
from rest_framework import serializers
from rest_framework.fields import empty

from ... import storable
from .errors import shortened
from .limits import check_json, items_of

Validate = Callable[[Any], Any]

# The most invalid entries of one field; the entries after these are not validated.
ENOUGH = 20

# The most rows of a relation that a post may name for one field, since each is a query. Also the most choices listed.
MOST_ROWS = 1000

# The deepest nesting of serializers whose fields are bounded.
DEEPEST = 8

# Errors about posted values that some fields do not catch: numbers too large for a column, texts that are no Unicode.
_UNREADABLE = (ArithmeticError, RecursionError, UnicodeError, DataError)


class Enough(Exception):
    """One field has so many faults that its remaining entries are not validated."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(field)
        self.detail = {field: [text]}


class Tally:
    """Counts the invalid entries and the rows read in one field of a form, nested fields included."""

    def __init__(self, field: str) -> None:
        self.field = field
        self.faults: list[Any] = []
        self.rows = 0

    def entry(self, usual: Validate, data: Any = empty) -> Any:
        """Validate an entry. Raises Enough when the field has too many faults."""
        try:
            return usual(data)
        except (serializers.ValidationError, DjangoValidationError) as error:
            self.faults.append(error.detail if isinstance(error, serializers.ValidationError) else error.messages)
            if len(self.faults) < ENOUGH:
                raise
        text = _("At least %(count)s entries are not valid; the first: %(fault)s")
        raise Enough(self.field, text % {"count": ENOUGH, "fault": _first_text(self.faults[0])})

    def row(self, usual: Validate, data: Any) -> Any:
        """Read a row. Raises Enough instead when the field has named too many."""
        self.rows += 1
        if self.rows > MOST_ROWS:
            raise Enough(self.field, _too_many_rows())
        return usual(data)


def validate(serializer: Any, usual: Validate, data: Any) -> Any:
    """Validate the data that were posted to a serializer with ``usual``, within limits; return its result.

    Raises:
        ValidationError: what is wrong, in a bounded number of faults of bounded length.
    """
    if isinstance(data, Mapping):
        _refuse_unstorable(items_of(data))
    for name, field in getattr(serializer, "fields", {}).items():
        _bound(field, Tally(name), DEEPEST, is_inside=False)
    try:
        found = usual(data)
    except Enough as enough:
        raise serializers.ValidationError(enough.detail) from None
    except serializers.ValidationError as error:
        raise serializers.ValidationError(shortened(error.detail)) from None
    except _UNREADABLE as error:
        raise serializers.ValidationError(_("The values of this form cannot be read.")) from error
    _refuse_unstorable(found)
    return found


def _bound(field: Any, tally: Tally, depth: int, *, is_inside: bool) -> None:
    """Have a field, and the fields in it, stop at the limits of the tally."""
    if isinstance(field, serializers.ManyRelatedField):
        field.to_internal_value = partial(_rows, field.to_internal_value)  # type: ignore[method-assign]
        relation: Any = field.child_relation
        relation.to_internal_value = partial(tally.row, relation.to_internal_value)
    elif is_inside and hasattr(field, "get_queryset"):
        field.to_internal_value = partial(tally.row, field.to_internal_value)
    child = getattr(field, "child", None)
    inner = list(field.fields.values()) if isinstance(field, serializers.Serializer) and depth else []
    if child is not None and depth:
        child.run_validation = partial(tally.entry, child.run_validation)
        inner.append(child)
    for each in inner:
        _bound(each, tally, depth - 1, is_inside=True)


def _rows(usual: Validate, data: Any) -> Any:
    if isinstance(data, list | tuple) and len(data) > MOST_ROWS:
        raise serializers.ValidationError(_too_many_rows())
    return usual(data)


def _too_many_rows() -> str:
    return _("At most %(count)s can be chosen.") % {"count": MOST_ROWS}


def _first_text(detail: Any) -> str:
    while isinstance(detail, Mapping | list | tuple) and detail:
        detail = next(iter(detail.values() if isinstance(detail, Mapping) else detail))
    return str(detail)


def _refuse_unstorable(data: Any) -> None:
    fields = data if isinstance(data, Mapping) else {}
    faults = {
        storable.text(str(name)): [fault] for name, value in fields.items() if (fault := _unstorable([name, value]))
    }
    if faults:
        raise serializers.ValidationError(shortened(faults))


def _unstorable(value: Any) -> str:
    """Return why a value, or a part of it, cannot be stored in every database; empty where it can."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if storable.fault_of(part) or (isinstance(part, Decimal) and not part.is_finite()):
            if isinstance(part, str):
                return _("Null characters and halves of surrogate pairs are not allowed.")
            return _("A finite number is required.")
        waiting.extend(_parts(part))
    return ""


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value
    elif isinstance(value, BaseModel):
        yield from vars(value).values()


def read_json(text: str) -> Any:
    """Return the value of a JSON text that was posted as one field. Raises ValueError or ParseError."""
    check_json(text)
    return json.loads(text)
