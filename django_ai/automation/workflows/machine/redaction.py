"""Clears texts of secrets: plain, escaped, encoded and shortened ones."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from pydantic import BaseModel, RootModel

from ..exceptions import WorkflowError, traceback_of
from .changes import ABSENT, is_omitted
from .escapes import SHORTEST, SHORTEST_LINE, escaped_forms, plain_forms
from .secret_places import ANYTHING, DEEPEST, MASK, Place, places_of

# Where a text was shortened; the beginning or the end of a secret may stand beside it.
_ELLIPSIS = re.compile(r"\.{3}|…")
MOST_ELLIPSES = 1_000

# Of more secrets, lines of secrets counted, and with more comparisons of strings, a text is masked as a whole.
MOST_SECRETS = 10_000
MOST_TRIES = 2_000_000


class _TooLong(Exception):
    """The search for secrets takes too long."""


class Redactor:
    """Clears texts of a set of secrets.

    Invariant: the time that a text takes is bounded. The secrets, and texts beside them, may come from a
    stranger's post; where the search would take longer, the whole text is masked.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        plain = {text for secret in secrets if len(secret.strip()) >= SHORTEST for text in plain_forms(secret)}
        self._is_blind = len(plain) > MOST_SECRETS
        found = set() if self._is_blind else {form for text in plain for form in escaped_forms(text)}
        self._by_start: dict[str, list[str]] = defaultdict(list)
        # The longest first, for one may be the beginning of another.
        for form in sorted(found, key=len, reverse=True):
            self._by_start[form[:SHORTEST]].append(form)
        long = [form for form in found if len(form) >= SHORTEST_LINE]
        self._beginnings, self._endings = _Beginnings(long), _Beginnings([form[::-1] for form in long])

    @classmethod
    def of(cls, data: Any, *context_classes: type[BaseModel]) -> Redactor:
        """Return a redactor of the secrets that ``data`` have in any of these classes."""
        return cls(secret for each in context_classes for secret in secrets_in(places_of(each), data))

    def __bool__(self) -> bool:
        return self._is_blind or bool(self._by_start)

    def __call__(self, text: str) -> str:
        """Return the text with each secret replaced by a mask."""
        if not self or not text:
            return text
        if self._is_blind:
            return MASK
        try:
            return self._without_parts("".join(self._pieces(text)))
        except _TooLong:
            return MASK

    def _pieces(self, text: str) -> Iterator[str]:
        position = shown = tries = 0
        while position < len(text):
            forms = self._by_start.get(text[position : position + SHORTEST], ())
            tries += len(forms)
            if tries > MOST_TRIES:
                raise _TooLong
            form = next((each for each in forms if text.startswith(each, position)), None)
            if form is None:
                position += 1
                continue
            yield text[shown:position]
            yield MASK
            position = shown = position + len(form)
        yield text[shown:]

    def _without_parts(self, text: str) -> str:
        """Mask the parts of secrets beside an ellipsis: libraries shorten long values in their errors."""
        ellipses = list(_ELLIPSIS.finditer(text))
        if len(ellipses) > MOST_ELLIPSES:
            return MASK
        if not ellipses:
            return text
        size = len(text)
        parts = list(self._beginnings.before(text, [each.start() for each in ellipses]))
        # The end of a secret behind an ellipsis is, from right to left, a beginning before it.
        mirrored = self._endings.before(text[::-1], [size - each.end() for each in ellipses])
        parts += [(size - end, size - start) for start, end in mirrored]
        pieces, shown = [], 0
        for start, end in sorted(parts):
            if start >= shown:
                pieces += [text[shown:start], MASK]
            shown = max(shown, end)
        return "".join([*pieces, text[shown:]])


class _Beginnings:
    """Finds beginnings of some texts at given places of another one."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = sorted(texts)
        self._keys = {text[:SHORTEST] for text in texts}
        self._longest = max(map(len, texts), default=0)

    def before(self, text: str, ends: list[int]) -> Iterator[tuple[int, int]]:
        """Yield where the longest beginning starts that ends at each of ``ends``, and that end. Raises _TooLong."""
        last = max(ends) - SHORTEST
        starts = [at for at in range(last + 1) if text[at : at + SHORTEST] in self._keys]
        tries = 0
        for end in ends:
            first, beyond = bisect_left(starts, end - self._longest + 1), bisect_left(starts, end - SHORTEST + 1)
            for start in starts[first:beyond]:
                tries += 10 + (end - start) // 100
                if tries > MOST_TRIES:
                    raise _TooLong
                if self._has(text[start:end]):
                    yield start, end
                    break

    def _has(self, beginning: str) -> bool:
        at = bisect_left(self._texts, beginning)
        return at < len(self._texts) and self._texts[at].startswith(beginning)


def secrets_in(place: Place, value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the secrets of a context as texts.

    Args:
        place: where the value stands.
        value: JSON, or the Python object as a step left it.
    """
    if depth > DEEPEST or value == ABSENT or is_omitted(value):
        return
    if isinstance(value, RootModel):
        yield from secrets_in(place, value.root, depth + 1)
    elif place.is_secret or hasattr(value, "get_secret_value"):
        if place.has_secret_keys and isinstance(value, Mapping):
            yield from map(str, value)
        yield from _texts(value)
    elif (parts := _parts_of(place, value)) is not None:
        for part, inner in parts:
            yield from secrets_in(part, inner, depth + 1)
    elif not place.shows_scalars:
        yield from _texts(value)


def _parts_of(place: Place, value: Any) -> Iterator[tuple[Place, Any]] | None:
    """Return the parts of a value with their places, or None where it has none."""
    named = _fields_of(value)
    if named is not None:
        return ((_key(place, name), inner) for name, inner in named.items())
    if isinstance(value, list | tuple | set | frozenset | deque):
        return ((ANYTHING if place.is_opaque else place.item(index), inner) for index, inner in enumerate(value))
    return None


def _key(place: Place, name: Any) -> Place:
    return ANYTHING if place.is_opaque else place.key(str(name))


def _fields_of(value: Any) -> Mapping[Any, Any] | None:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, BaseModel):
        declared = {name: value.__dict__.get(name) for name in type(value).model_fields}
        return {**declared, **(value.__pydantic_extra__ or {})}
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name, None) for each in fields(value)}
    return None


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the texts of a secret: its own, or those of its parts."""
    if value is None or isinstance(value, bool) or depth > DEEPEST:
        return
    named = _fields_of(value)
    if hasattr(value, "get_secret_value"):
        yield from _texts(value.get_secret_value(), depth + 1)
    elif named is not None or isinstance(value, list | tuple | set | frozenset | deque):
        for part in named.values() if named is not None else value:
            yield from _texts(part, depth + 1)
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "backslashreplace")
    elif isinstance(value, str) and not isinstance(value, Enum):
        yield value
        if value[:1] in ("{", "["):
            with suppress(ValueError, RecursionError):
                yield from _texts(json.loads(value), depth + 1)
    else:
        yield str(value.value if isinstance(value, Enum) else value)


def told(error: BaseException, clear: Redactor) -> BaseException:
    """Return an exception as logs and traces may have it: itself, or a stand-in whose texts are cleared."""
    if not clear or _is_clean(error, clear):
        return error
    stand_in = _stand_in(error, clear, set())
    # A line of the code may have the secret in it.
    return stand_in if _is_clean(stand_in, clear) else _stand_in(error, clear, set(), with_frames=False)


def _is_clean(error: BaseException, clear: Redactor) -> bool:
    text = traceback_of(error)
    return clear(text) == text


def _stand_in(error: BaseException, clear: Redactor, seen: set[int], *, with_frames: bool = True) -> Exception:
    """Return an exception with the same class name, traceback and causes, and with cleared texts."""
    seen.add(id(error))
    kind = type(error)
    names = {"__module__": kind.__module__, "__qualname__": clear(kind.__qualname__)}
    base = WorkflowError if isinstance(error, WorkflowError) else Exception
    stand_in: Exception = type(clear(kind.__name__), (base,), names)(clear(_text(error)))
    stand_in.__notes__ = [clear(_text(note)) for note in getattr(error, "__notes__", ())]
    stand_in.__traceback__ = error.__traceback__ if with_frames else None
    if error.__cause__ is not None and id(error.__cause__) not in seen:
        stand_in.__cause__ = _stand_in(error.__cause__, clear, seen, with_frames=with_frames)
    if error.__context__ is not None and id(error.__context__) not in seen:
        stand_in.__context__ = _stand_in(error.__context__, clear, seen, with_frames=with_frames)
    stand_in.__suppress_context__ = error.__suppress_context__
    return stand_in


def _text(error: object) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the project's own exceptions may raise here
        return ""
