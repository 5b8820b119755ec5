"""Checks the parameters of addresses and forms: known names, and values that every database can take."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, QueryDict

from . import storable

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    Base = ModelAdmin[Any]
else:
    Base = object

# The longest value of a parameter; names and keys are shorter.
LONGEST = 1_000


def is_text(text: str, longest: int) -> bool:
    """Return whether a text is not too long, and every database takes it."""
    return len(text) <= longest and storable.fault_of(text) is None


def is_storable(value: Any, largest: float = math.inf) -> bool:
    """Return whether every database takes a JSON value, whose numbers are at most ``largest``."""
    try:
        return storable.fault_in(value) is None and all(number <= largest for number in _numbers(value))
    except RecursionError:
        return False


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, int | float):
        yield abs(value)
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _numbers(part)


class CheckedParameters(Base):
    """Answers a parameter that the page does not know, or cannot take, with 400.

    Invariant: no lookup comes from the address. Those of Django's admin follow any field, and read
    letter by letter what the page masks.
    """

    # Beside the names of filters: parameters of fields.
    lookups: tuple[str, ...] = ()

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow the parameters of the list's filters alone."""
        names = {getattr(item, "parameter_name", None) for item in self.list_filter}
        return lookup in names or lookup in self.lookups

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, if its parameters and the selected rows make sense."""
        check(request.GET)
        check(request.POST)
        if any(storable.number_in(text) is None for text in request.POST.getlist(ACTION_CHECKBOX_NAME)):
            raise BadRequest("These are no numbers of rows.")
        return super().changelist_view(request, extra_context)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return the row of this number, or None."""
        return None if storable.number_in(object_id) is None else super().get_object(request, object_id, from_field)


def check(parameters: QueryDict) -> None:
    """Raise BadRequest where a parameter is no text that every database takes."""
    for name, values in parameters.lists():
        if not all(is_text(str(text), LONGEST) for text in (name, *values)):
            raise BadRequest(f"The parameter {name[:50]!r} makes no sense here.")
