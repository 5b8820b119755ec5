"""Where the documentation is: every error and every hint of a system check says which page explains it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, wraps
from typing import Any

from django.core import checks

Check = Callable[..., Sequence[checks.CheckMessage]]

# The one place that knows it. The pages are files of the project until they are published somewhere; then it is
# "https://…/{page}.html#{anchor}".
ADDRESS = "docs/{page}.md"


def link(page: str, anchor: str) -> str:
    """Return where a page explains something.

    Args:
        page: the page's path below docs/, without its ending.
        anchor: the id in the built page.
    """
    return ADDRESS.format(page=page, anchor=anchor)


def check_link(code: str) -> str:
    """Return where the system check of this id is explained."""
    return link("checks", code.lower().replace(".", "-").replace("_", "-"))


def error_link(kind: type[BaseException]) -> str:
    """Return where an exception is explained."""
    return link("reference/errors", f"{kind.__module__}.{kind.__qualname__}")


def register_check(check: Check, *tags: str, **options: Any) -> None:
    """Register a system check whose messages say in their hints where they are explained."""
    checks.register(explained(check), *tags, **options)


@cache  # a check that several apps register stays one
def explained(check: Check) -> Check:
    """Return the check with a link at the end of each message's hint."""

    @wraps(check)
    def checked(*args: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
        messages = check(*args, **kwargs)
        for message in messages:
            message.hint = f"{message.hint or ''} More: {check_link(str(message.id))}".strip()
        return messages

    return checked
