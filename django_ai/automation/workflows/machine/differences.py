"""The differences between a context that was written as JSON and the one that is read back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from pydantic import BaseModel

# Values whose equality is theirs, and no question of identity: a private attribute of these types is data.
_DATA = (str, bytes, int, float, Decimal, date, time, timedelta, list, tuple, set, frozenset, dict, BaseModel)

_ABSENT = object()


class Difference(NamedTuple):
    """A value that differs: where it is, as it was left, as it would be read, and whether the attribute is private."""

    path: str
    left: Any
    back: Any
    is_private: bool = False


def differences(left: Any, back: Any, path: str = "") -> Iterator[Difference]:
    """Yield the innermost values in which ``back`` differs from ``left``."""
    if is_equal(left, back):
        return
    if type(left) is type(back):
        parts = _parts(left, back)
        if parts is not None:
            for name, one, other, is_private in parts:
                inner = f"{path}.{name}" if path else name
                if is_private:
                    if isinstance(one, _DATA) and not is_equal(one, other):
                        yield Difference(inner, one, other, is_private=True)
                else:
                    yield from differences(one, other, inner)
            return
    yield Difference(path, left, back)


def is_equal(left: Any, back: Any) -> bool:
    """Return whether two values are equal: NaN equals NaN, and values that cannot be compared differ."""
    if left is back:
        return True
    try:
        if left == back:
            return True
    except Exception:  # noqa: BLE001 - an array, say, answers with an array
        return False
    if isinstance(left, float | Decimal) and isinstance(back, float | Decimal):
        return math.isnan(left) and math.isnan(back)
    if isinstance(left, datetime) and isinstance(back, datetime):
        # Datetimes of different zones are never equal in the hour that a clock repeats.
        aware = left.utcoffset() is not None and back.utcoffset() is not None
        return aware and left.astimezone(UTC) == back.astimezone(UTC)
    return False


def _parts(left: Any, back: Any) -> list[tuple[str, Any, Any, bool]] | None:
    """Return name, values and privacy of what two values of one type are made of, or None for a value without parts."""
    if isinstance(left, BaseModel):
        return _of_models(left, back)
    if isinstance(left, Mapping) and left.keys() == back.keys():
        return [(str(key), left[key], back[key], False) for key in left]
    if isinstance(left, list | tuple) and len(left) == len(back):
        return [(str(index), *pair, False) for index, pair in enumerate(zip(left, back, strict=True))]
    if is_dataclass(left):
        names = [field.name for field in dataclass_fields(left)]
        return [(name, getattr(left, name, None), getattr(back, name, None), False) for name in names]
    kind: Any = type(left)
    if kind.__eq__ is object.__eq__ and hasattr(left, "__dict__"):
        return _of_mappings(vars(left), vars(back))
    return None


def _of_models(left: BaseModel, back: BaseModel) -> list[tuple[str, Any, Any, bool]]:
    names = type(left).model_fields
    values, others = vars(left), vars(back)
    return [
        *((name, values.get(name, _ABSENT), others.get(name, _ABSENT), False) for name in names),
        *_of_mappings(left.__pydantic_extra__ or {}, back.__pydantic_extra__ or {}),
        *_of_mappings(left.__pydantic_private__ or {}, back.__pydantic_private__ or {}, is_private=True),
    ]


def _of_mappings(
    left: Mapping[str, Any], back: Mapping[str, Any], *, is_private: bool = False
) -> list[tuple[str, Any, Any, bool]]:
    return [(name, left.get(name, _ABSENT), back.get(name, _ABSENT), is_private) for name in {**left, **back}]
