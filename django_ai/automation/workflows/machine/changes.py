"""What a move changed in the context, as data that can be shown and undone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

# Of each field that differs, its value before and after.
Changes = dict[str, list[Any]]

# What stands for a value that is not there, and under which key the size of one too large to keep.
ABSENT = {"__absent__": True}
OMITTED = "__omitted__"


def between(before: Mapping[str, Any], after: Mapping[str, Any], longest: int) -> Changes:
    """Return the fields in which two contexts differ.

    Args:
        before, after: contexts as JSON-ready data.
        longest: the size in bytes, as JSON, up to which a value is kept; a longer one becomes its size.
    """
    return {
        name: [_kept(before.get(name, ABSENT), longest), _kept(after.get(name, ABSENT), longest)]
        for name in {**after, **before}
        if before.get(name, ABSENT) != after.get(name, ABSENT)
    }


def undo(data: Mapping[str, Any], latest_first: Iterable[Changes]) -> tuple[dict[str, Any], set[str]]:
    """Return the context as it was before some changes, and the fields whose values were too large to keep."""
    context, lost = dict(data), set()
    for changes in latest_first:
        for name, (before, _) in changes.items():
            if is_omitted(before):
                lost.add(name)
            elif before == ABSENT:
                context.pop(name, None)
            else:
                lost.discard(name)
                context[name] = before
    return context, lost


def is_omitted(value: object) -> bool:
    """Say whether this stands for a value that was too large to keep."""
    return isinstance(value, Mapping) and value.keys() == {OMITTED} and isinstance(value[OMITTED], int)


def _kept(value: Any, longest: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    size = len(json.dumps(value))
    return value if size <= longest else {OMITTED: size}
