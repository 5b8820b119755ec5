"""What a model declares: the events that its rows bring about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

from .. import storable
from ..signatures import wrong_callback

NAME_LENGTH = 200
CORRELATION_LENGTH = 200
ENTITY_ID_LENGTH = 200


class Happening(StrEnum):
    """What was done to a row."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Kind(Enum):
    """How often, and when, a row brings an event about."""

    SCHEDULED = "at a date that the row holds"
    ONCE = "the first time its condition holds"
    RECURRING = "at every change it names"


@dataclass(frozen=True)
class EventDefinition:
    """An event that rows of a model bring about; goes into the model's `events = [...]`.

    Args:
        name: what subscribers know it by; one name may be declared by several models.
        date_field: a DateTimeField or DateField of the model: the event occurs at that time. Without
            it the event is immediate: it occurs when the transaction that saved the row commits.
        condition: a function of the row that says whether the event is to occur. An immediate event
            with a condition occurs once for each row, the first time the condition holds.
        correlate: the event's correlation key: a function of the row, or the name of an attribute
            ("order_id", "order.number"); the primary key by default.
        data: a function of the row that returns the event's data, a dict that JSON can hold; called
            at the save of an immediate event, and when a scheduled one occurs.
        on: "create", "update", "delete", or several of them: the immediate event occurs each time.
        watch: names of fields: the immediate event occurs each time one of them changed. A new row
            counts as a change unless `on="update"`.

    Without date_field, condition, on and watch an event occurs when a row is created.

    Raises:
        ValueError: the declaration contradicts itself.
    """

    name: str
    date_field: str | None = None
    condition: Callable[[Any], object] | None = None
    correlate: str | Callable[[Any], object] | None = None
    data: Callable[[Any], Mapping[str, Any]] | None = None
    on: str | Iterable[str] = ()
    watch: str | Iterable[str] = ()

    def __post_init__(self) -> None:
        if fault := name_fault(self.name):
            raise ValueError(fault)
        object.__setattr__(self, "watch", _names(self.watch))
        object.__setattr__(self, "on", tuple(self._happening(name) for name in _names(self.on)))
        for fault in self._faults():
            raise ValueError(fault)

    def _faults(self) -> Iterator[str]:
        date_field: object = self.date_field
        if not isinstance(date_field, str | None):
            yield f"Event {self.name!r}: date_field must be the name of a field, not {date_field!r}."
        if self.date_field and (self.on or self.watch):
            yield f"Event {self.name!r} occurs at its date_field; on= and watch= are for other events."
        for option in ("condition", "data", "correlate"):
            given = getattr(self, option)
            is_name = option == "correlate" and isinstance(given, str)
            if given is not None and not is_name and (fault := wrong_callback(given, None)):
                other = "the name of an attribute or " if option == "correlate" else ""
                yield f"Event {self.name!r}: {option} must be {other}a function of the row; it {fault}."

    @property
    def kind(self) -> Kind:
        """How often, and when, a row brings this event about."""
        if self.date_field:
            return Kind.SCHEDULED
        return Kind.ONCE if self.condition and not (self.on or self.watch) else Kind.RECURRING

    @property
    def happenings(self) -> frozenset[Happening]:
        """What has to be done to a row for this event to be looked at."""
        if self.on:
            return frozenset(Happening(name) for name in self.on)
        if self.condition or self.watch or self.date_field:
            return frozenset({Happening.CREATE, Happening.UPDATE})
        return frozenset({Happening.CREATE})

    def _happening(self, name: str) -> Happening:
        try:
            return Happening(name)
        except ValueError:
            raise ValueError(f"Event {self.name!r}: on= takes create, update and delete, not {name!r}.") from None


def name_fault(name: object) -> str | None:
    """Return why this is no name of an event, or None where it is one."""
    if not isinstance(name, str):
        return f"An event's name is a text, not {name!r}."
    if not 0 < len(name) <= NAME_LENGTH:
        return f"An event's name must have 1 to {NAME_LENGTH} characters; {name[:40]!r} has {len(name)}."
    if fault := storable.fault_of(name):
        return f"An event's name must not be {fault}, as {name!r} is."
    return None


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
