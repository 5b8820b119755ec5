"""Clears texts of secrets: plain, escaped, encoded and shortened ones."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any
from urllib.parse import quote, quote_plus

from pydantic import BaseModel, RootModel

from ..exceptions import WorkflowError, traceback_of
from .changes import ABSENT, is_omitted
from .secret_places import ANYTHING, DEEPEST, MASK, Place, places_of

# A shorter secret is not looked for: it would be found in half of all words.
SHORTEST = 4

# A shortened secret, and a line of a secret with several, is looked for from this length on.
SHORTEST_LINE = 8

# Where a text was shortened; the beginning or the end of a secret may stand beside it.
_ELLIPSIS = re.compile(r"\.{3}|…")
MOST_ELLIPSES = 1_000


class Redactor:
    """Clears texts of a set of secrets."""

    def __init__(self, secrets: Iterable[str]) -> None:
        found = {form for secret in secrets if len(secret.strip()) >= SHORTEST for form in _forms(secret)}
        self._by_start: dict[str, list[str]] = defaultdict(list)
        self._by_end: dict[str, list[str]] = defaultdict(list)
        # The longest first, for one may be the beginning of another.
        for form in sorted(found, key=len, reverse=True):
            self._by_start[form[:SHORTEST]].append(form)
            if len(form) >= SHORTEST_LINE:
                self._by_end[form[-SHORTEST:]].append(form)

    @classmethod
    def of(cls, data: Any, *context_classes: type[BaseModel]) -> Redactor:
        """Return a redactor of the secrets that ``data`` have in any of these classes."""
        return cls(secret for each in context_classes for secret in secrets_in(places_of(each), data))

    def __bool__(self) -> bool:
        return bool(self._by_start)

    def __call__(self, text: str) -> str:
        """Return the text with each secret replaced by a mask."""
        if not self or not text:
            return text
        return self._without_parts("".join(self._pieces(text)))

    def _pieces(self, text: str) -> Iterator[str]:
        position = shown = 0
        while position < len(text):
            form = self._at(text, position)
            if form is None:
                position += 1
                continue
            yield text[shown:position]
            yield MASK
            position = shown = position + len(form)
        yield text[shown:]

    def _at(self, text: str, position: int) -> str | None:
        forms = self._by_start.get(text[position : position + SHORTEST], ())
        return next((form for form in forms if text.startswith(form, position)), None)

    def _without_parts(self, text: str) -> str:
        """Mask the parts of secrets beside an ellipsis: libraries shorten long values in their errors."""
        ellipses = list(_ELLIPSIS.finditer(text))
        if len(ellipses) > MOST_ELLIPSES:
            return MASK
        limit = len(text)
        for ellipsis in reversed(ellipses):
            if ellipsis.end() > limit:
                continue  # it was part of a secret
            start, end = self._part_before(text, ellipsis.start()), self._part_after(text, ellipsis.end())
            before = text[: ellipsis.start()] if start is None else text[:start] + MASK
            after = text[ellipsis.end() :] if end is None else MASK + text[end:]
            text, limit = before + ellipsis.group() + after, ellipsis.start() if start is None else start
        return text

    def _part_before(self, text: str, end: int) -> int | None:
        """Return where the beginning of a secret starts that ends at ``end``."""
        for key, forms in self._by_start.items():
            for form in forms:
                start = text.find(key, max(0, end - len(form) + 1), end)
                while start >= 0:
                    if len(form) >= SHORTEST_LINE and form.startswith(text[start:end]):
                        return start
                    start = text.find(key, start + 1, end)
        return None

    def _part_after(self, text: str, start: int) -> int | None:
        """Return where the end of a secret ends that starts at ``start``."""
        for key, forms in self._by_end.items():
            for form in forms:
                at = text.find(key, start, start + len(form) - 1)
                while at >= 0:
                    if form.endswith(text[start : at + SHORTEST]):
                        return at + SHORTEST
                    at = text.find(key, at + 1, start + len(form) - 1)
        return None


def _forms(secret: str) -> set[str]:
    """Return a secret as texts may have it."""
    lines = [line.strip() for line in secret.splitlines()]
    plain = {secret, secret.strip(), *(line for line in lines if len(line) >= SHORTEST_LINE)}
    once = {escaped(text) for text in plain for escaped in _ESCAPES}
    # A text in the repr() of an error, in the JSON of a body that is itself a text.
    twice = {escaped(text) for text in once for escaped in _ESCAPES}
    found = plain | once | twice | set(_in_base64(secret.strip()))
    return {form for form in found if len(form) >= SHORTEST}


def _repr(text: str) -> str:
    return repr(text)[1:-1].replace("\\'", "'")


def _repr_in_quotes(text: str) -> str:
    return _repr(text).replace("'", "\\'")


def _repr_of_bytes(text: str) -> str:
    return repr(text.encode("utf-8", "surrogatepass"))[2:-1].replace("\\'", "'")


def _repr_of_bytes_in_quotes(text: str) -> str:
    return _repr_of_bytes(text).replace("'", "\\'")


def _json(text: str) -> str:
    return json.dumps(text)[1:-1]


def _json_as_it_is(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _url(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")


def _url_path(text: str) -> str:
    return quote(text, errors="surrogatepass")


def _url_form(text: str) -> str:
    return quote_plus(text, errors="surrogatepass")


def _url_in_small_letters(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda code: code.group().lower(), _url(text))


_ESCAPES: tuple[Callable[[str], str], ...] = (
    *(_repr, _repr_in_quotes, _repr_of_bytes, _repr_of_bytes_in_quotes, _json, _json_as_it_is, html.escape),
    *(_url, _url_path, _url_form, _url_in_small_letters),
)


def _in_base64(secret: str) -> Iterator[str]:
    """Yield the base64 of a secret, also of one in the middle of other bytes."""
    raw = secret.encode("utf-8", "surrogatepass")
    for encode in (b64encode, urlsafe_b64encode):
        yield encode(raw).decode()
        for before in range(3):
            encoded = encode(bytes(before) + raw).decode().rstrip("=")
            # The first and last characters also depend on the bytes around.
            core = encoded[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
            if len(core) >= SHORTEST_LINE:
                yield core


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
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    base = WorkflowError if isinstance(error, WorkflowError) else Exception
    stand_in: Exception = type(kind.__name__, (base,), names)(clear(_text(error)))
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
