"""Values as texts: short ones on one line, others indented."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

# The frames of a traceback that lie in the engine, whose lines say nothing of what went wrong.
_ENGINE = re.escape(str(Path(__file__).resolve().parent.parent / "runtime"))
_FRAME = re.compile(rf'^  File "{_ENGINE}[^\n]*\n(?:    [^\n]*\n)*', re.MULTILINE)

# A value that is longer than this as JSON has several lines.
ONE_LINE = 60

# No page shows more of one value.
LONGEST = 5_000


def shown(value: Any) -> str:
    """Return a JSON value as a person reads it; a text as it is."""
    if isinstance(value, str):
        return _cut(value)
    text = json.dumps(value, ensure_ascii=False)
    return _cut(text if len(text) <= ONE_LINE else json.dumps(value, ensure_ascii=False, indent=2))


def _cut(text: str) -> str:
    rest = len(text) - LONGEST
    return f"{text[:LONGEST]}… and {rest:,} characters more" if rest > 0 else text


def without_engine(traceback: str) -> str:
    """Return a traceback without the frames of the engine: where the user's code went wrong is what counts."""
    return _FRAME.sub("", traceback)
