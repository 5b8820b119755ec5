"""Which texts, numbers and moments every supported database stores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

# MariaDB stores the years 1000 to 9999. The two days at either end leave room for any time zone.
EARLIEST = datetime(1000, 1, 3, tzinfo=UTC)
LATEST = datetime(9999, 12, 29, tzinfo=UTC)

# The longest pause that is taken: a thousand years, which end within that calendar.
LONGEST_PAUSE = timedelta(days=365_000)

# The largest primary key of a row.
LARGEST_NUMBER = 2**63 - 1


def number_in(text: str) -> int | None:
    """Return the primary key that a text is, or None where no row can have it."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_NUMBER))):
        return None
    return number if (number := int(text)) <= LARGEST_NUMBER else None


def text(value: str) -> str:
    """Return ``value`` with the characters escaped that a database refuses: NUL, and halves of surrogate pairs."""
    if value.isascii() and "\0" not in value:
        return value
    return value.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def text_of(error: BaseException) -> str:
    """Return the text of an exception as ``text`` does; one whose class cannot make a text says so."""
    try:
        return text(str(error).strip())
    except Exception as fault:  # noqa: BLE001 - a class of the user's may raise anything
        return f"(its text cannot be made: {type(fault).__name__})"


def texts(values: Mapping[str, str]) -> dict[str, str]:
    """Return these texts, each as ``text`` does."""
    return {key: text(value) for key, value in values.items()}


def data(value: Any) -> Any:
    """Return JSON data with its texts as ``text`` gives them, and None for each number that JSON does not know."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping):
        return {data(key): data(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [data(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def fault_of(value: object) -> str | None:
    """Return why a database does not store a text or a number, or None."""
    if isinstance(value, str):
        if "\0" in value:
            return "a text with the character NUL"
        return None if value.isascii() or _is_unicode(value) else "a text with half of a surrogate pair"
    if isinstance(value, float) and not math.isfinite(value):
        return f"the number {value}"
    return None


def fault_in(value: Any) -> str | None:
    """Return the first value in JSON data that a database does not store, as ``path: reason``, or None."""
    return next(_faults(value, ""), None)


def _faults(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _faults(part, f"{path}.{text(str(key))}" if path else text(str(key)))
            if fault := fault_of(key):
                yield f"{path or 'data'}: {fault} as a key"
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _faults(part, f"{path}.{index}" if path else str(index))
    elif fault := fault_of(value):
        yield f"{path}: {fault}" if path else fault


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def has_moment(moment: datetime) -> bool:
    """Return whether every database stores a moment and every time zone shows it."""
    try:
        return _near(EARLIEST, moment) <= moment <= _near(LATEST, moment)
    except Exception:  # noqa: BLE001 - a zone of the project's own may raise anything
        return False


def clamped(moment: datetime) -> datetime:
    """Return the nearest moment that every database stores and every time zone shows."""
    return min(max(moment, _near(EARLIEST, moment)), _near(LATEST, moment))


def _near(bound: datetime, moment: datetime) -> datetime:
    """Return a bound as a naive datetime where the moment is one, as without USE_TZ."""
    return bound if moment.utcoffset() is not None else bound.replace(tzinfo=None)
