"""What becomes of an event's row when the model's row says something new. Pure: one table."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING

from .definitions import Kind
from .statuses import EventStatus
from .timing import DONE
from .verdicts import Faulty, Verdict, Wanted

if TYPE_CHECKING:
    from .models import Event


class Action(Enum):
    """What to do with the row of an event."""

    NOTHING = auto()
    INSERT = auto()  # there is no row yet, or the one there is has had its occurrence
    MOVE = auto()  # the row is pending, at the time that is wanted now
    REPLACE = auto()  # the row keeps what it has fired and is cancelled; a new one is inserted
    CANCEL = auto()
    FAIL = auto()  # the row is marked with the fault


def decide(kind: Kind, row: Event | None, said: Verdict, *, is_new: bool, history: datetime) -> Action:
    """Return what to do about one event of one entity.

    Args:
        kind: the declaration's.
        row: the row the event has had so far for this entity, if any.
        said: what the entity says now.
        is_new: whether the entity itself was just created.
        history: dates before this one are not taken up any more, unless the entity is new.
    """
    if isinstance(said, Faulty):
        return _decide_fault(row, said)
    if said is None:
        return _decide_unwanted(kind, row)
    if row is None:
        return Action.NOTHING if _is_history(said, history) and not is_new else Action.INSERT
    if said.at is None:
        return Action.MOVE if row.status == EventStatus.FAILED else Action.NOTHING
    return _decide_date(row, said, said.at, is_history=said.at < history)


def _decide_fault(row: Event | None, said: Faulty) -> Action:
    if row is None:
        return Action.INSERT
    if row.status == EventStatus.OCCURRED or (row.status == EventStatus.FAILED and row.note == said.text):
        return Action.NOTHING
    return Action.FAIL


def _decide_unwanted(kind: Kind, row: Event | None) -> Action:
    # What an immediate event reported has happened, whatever the row says since.
    unsettled = {EventStatus.FAILED} | ({EventStatus.PENDING} if kind is Kind.SCHEDULED else set())
    return Action.CANCEL if row and row.status in unsettled else Action.NOTHING


def _decide_date(row: Event, said: Wanted, at: datetime, *, is_history: bool) -> Action:
    same, touched = row.at == at, any(item["state"] == DONE for item in row.deliveries.values())
    match row.status:
        case EventStatus.PENDING if same:
            return Action.NOTHING if row.correlation == said.correlation else Action.MOVE
        case EventStatus.PENDING if is_history:
            return Action.CANCEL
        case EventStatus.OCCURRED:
            return Action.REPLACE if at > row.at and not is_history else Action.NOTHING
        case EventStatus.CANCELLED if same and row.by_hand:
            return Action.NOTHING
        case _ if is_history:
            return Action.NOTHING
        case _:
            return Action.REPLACE if touched and not same else Action.MOVE


def _is_history(said: Wanted, history: datetime) -> bool:
    return said.at is not None and said.at < history


def history_before(now: datetime, grace_seconds: float) -> datetime:
    """Return the moment before which dates are history."""
    return now - timedelta(seconds=grace_seconds)
