"""The forms in which texts have a secret: as it is, its lines, escaped and encoded."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from unicodedata import normalize
from urllib.parse import quote, quote_plus

# A shorter secret is not looked for: it would be found in half of all words.
SHORTEST = 4

# A shortened secret, and a line of a secret with several, is looked for from this length on.
SHORTEST_LINE = 8


def plain_forms(secret: str) -> set[str]:
    """Return a secret as it is, its long lines, and both composed and decomposed where Unicode has these."""
    lines = (line.strip() for line in secret.splitlines())
    found = {secret, secret.strip(), *(line for line in lines if len(line) >= SHORTEST_LINE)}
    return found if secret.isascii() else found | {normalize(form, text) for text in found for form in ("NFC", "NFD")}


def escaped_forms(text: str) -> set[str]:
    """Return a secret, or a line of one, as texts may have it."""
    once = {text, *(escaped(text) for escaped in _ESCAPES)}
    # A text in the repr() of an error, in the JSON of a body that is itself a text.
    twice = {escaped(each) for each in once for escaped in _ESCAPES}
    found = once | twice | set(_in_base64(text.strip()))
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
