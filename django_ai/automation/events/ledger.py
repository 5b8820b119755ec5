"""The only place that changes the row of an event before it occurs: inserted, moved, replaced, cancelled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connections, transaction
from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from .. import clock
from ..conf import settings
from . import plan, timing
from .announcing import announce
from .definitions import EventDefinition
from .models import Event, EventStatus, database, entity_key
from .plan import Action
from .signals import event_cancelled, send_after_commit
from .subscriptions import subscriptions
from .verdicts import Faulty, Verdict, Wanted, payload

CHANGED = (
    *("at", "correlation", "data", "status", "occurred_at", "next_due_at", "armed_at"),
    *("deliveries", "failures", "note", "by_hand", "key"),
)


@dataclass(frozen=True)
class Statement:
    """What an entity says of one of its events; `entity` is None when the entity is gone."""

    definition: EventDefinition
    label: str
    entity_id: str
    entity: Model | None
    said: Verdict
    is_new: bool = False

    @property
    def key(self) -> str:
        """The key of the one row that this event has for this entity."""
        return entity_key(self.label, self.entity_id, self.definition.name)


@dataclass(frozen=True)
class Decision:
    """A statement, the row it meets, and what follows."""

    statement: Statement
    row: Event | None
    action: Action


def bring_in_line(statements: Sequence[Statement]) -> int:
    """Make the rows of events say what the entities say; return how many rows changed.

    One query if nothing changes, none without statements. Whoever calls holds the entities' rows locked (they were just
    written), so nobody else brings the same entities in line meanwhile.
    """
    if not statements:
        return 0
    rows = _rows(statements)
    if not any(item.action is not Action.NOTHING for item in _decide(statements, rows)):
        return 0
    with transaction.atomic(using=database(), savepoint=False):
        if rows:
            rows = _rows(statements, lock=True)  # one of them may be occurring right now
        return _apply([item for item in _decide(statements, rows) if item.action is not Action.NOTHING])


def differing(statements: Sequence[Statement]) -> list[Statement]:
    """Return the statements that do not agree with the rows, which are only read (one query)."""
    decisions = _decide(statements, _rows(statements))
    return [item.statement for item in decisions if item.action is not Action.NOTHING]


def insert(statements: Iterable[Statement], *, lasting: bool = True) -> None:
    """Insert a row for each statement, the only one of its entity's event if it is `lasting`."""
    rows = [_fresh(item, key=item.key if lasting else None) for item in statements]
    if rows:
        Event.objects.using(database()).bulk_create(rows, batch_size=settings.BATCH_SIZE)
        announce(filter(_is_due, rows), database())


def insert_as_known(statements: Iterable[Statement]) -> int:
    """Keep immediate events that are wanted and have no row from ever occurring; return how many."""
    wanted = {item.key: item for item in statements if isinstance(item.said, Wanted)}
    known = _rows(list(wanted.values()))
    rows = [_fresh(item, key=key) for key, item in wanted.items() if key not in known]
    for row in rows:
        cancel(row, "Held already when the event was declared.")
        row.by_hand = True
    Event.objects.using(database()).bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def give_up(number: int, fault: str) -> None:
    """Mark the event of this primary key as failed, in a transaction of its own."""
    with transaction.atomic(using=database()):
        rows = list(lockable(Event.objects.using(database()).filter(pk=number)))
        for row in rows:
            fail(row, fault)
        update(rows)


def forget_entity(label: str, entity_id: str) -> None:
    """Cancel what is still to come for an entity that is gone, and let its keys go."""
    using = database()
    with transaction.atomic(using=using, savepoint=False):
        events = Event.objects.using(using).filter(entity_type=label, entity_id=entity_id)
        rows = list(lockable(events.filter(Q(key__isnull=False) | Q(next_due_at__isnull=False))))
        for row in rows:
            cancel(row, f"{label} #{entity_id} was deleted.")
            row.key = None
        update(rows)


def change(row: Event, action: Action, item: Statement) -> None:
    """Do to an existing row what was decided. Saves nothing."""
    match action, item.said:
        case Action.MOVE, Wanted() as said:
            move(row, said)
        case Action.REPLACE, Wanted() as said:
            cancel(row, f"Moved to {said.at}.")
            row.key = None
        case Action.FAIL, Faulty(text):
            fail(row, text)
        case Action.CANCEL, _:
            cancel(row, _reason(item))


def update(rows: Sequence[Event], fields: Sequence[str] = CHANGED) -> None:
    """Save rows that were changed here, announce what is due of them and tell of the cancelled."""
    for row in rows:
        row.failures = timing.count_failed(row)
    if len(rows) == 1:
        rows[0].save(update_fields=fields)
    elif rows:
        _update_many(rows, fields)
    announce(filter(_is_due, rows), database())
    send_after_commit(event_cancelled, [row for row in rows if row.newly_cancelled], database())


def _update_many(rows: Sequence[Event], fields: Sequence[str]) -> None:
    # The rows exist and are locked, so each insertion becomes an update; bulk_update, which writes a
    # CASE with a branch for each row and column, takes fifty times as long.
    using = database()
    targets = connections[using].features.supports_update_conflicts_with_target
    Event.objects.using(using).bulk_create(
        rows,
        batch_size=settings.BATCH_SIZE,
        update_conflicts=True,
        update_fields=fields,
        unique_fields=["id"] if targets else None,
    )


def cancel(row: Event, note: str) -> None:
    """Give up what is still to come of an event; what has occurred stays occurred. Saves nothing.

    Calls that failed at or after an event that occurred are still repeated.
    """
    for delivery in row.deliveries.values():
        if delivery["state"] == timing.WAITING:
            delivery["state"] = timing.SKIPPED
    if row.status in (EventStatus.PENDING, EventStatus.FAILED):
        row.status, row.note, row.newly_cancelled = EventStatus.CANCELLED, note, True
    row.next_due_at = timing.next_due(row, subscriptions.to(row.name))


def fail(row: Event, fault: str) -> None:
    """Mark an event that cannot be evaluated. Saves nothing."""
    row.status, row.note, row.next_due_at = EventStatus.FAILED, fault, None


def move(row: Event, said: Wanted) -> None:
    """Make an event pending at the time that is wanted now. Saves nothing."""
    row.status, row.note, row.by_hand = EventStatus.PENDING, "", False
    row.correlation = said.correlation
    if said.at is None:
        row.at = row.armed_at = row.next_due_at = clock.now()
        return
    if row.at != said.at:
        row.at, row.armed_at = said.at, clock.now()
    row.next_due_at = timing.next_due(row, subscriptions.to(row.name))


def lockable(rows: QuerySet[Event]) -> QuerySet[Event]:
    """Return the queryset with a lock, where the database has row locks."""
    features = connections[rows.db].features
    return rows.select_for_update() if features.has_select_for_update else rows


def _rows(statements: Sequence[Statement], *, lock: bool = False) -> dict[str, Event]:
    found = Event.objects.using(database()).filter(key__in={item.key for item in statements})
    return {str(row.key): row for row in (lockable(found) if lock else found)}


def _decide(statements: Sequence[Statement], rows: dict[str, Event]) -> list[Decision]:
    history = plan.history_before(timezone.now(), settings.EVENT_GRACE_SECONDS)
    return [_decision(item, rows.get(item.key), history) for item in statements]


def _decision(item: Statement, row: Event | None, history: datetime) -> Decision:
    action = plan.decide(item.definition.kind, row, item.said, is_new=item.is_new, history=history)
    return Decision(item, row, action)


def _apply(decisions: Sequence[Decision]) -> int:
    changed = [item.row for item in decisions if item.row is not None]
    for item in decisions:
        if item.row is not None:
            change(item.row, item.action, item.statement)
    update(changed)
    insert([item.statement for item in decisions if item.action in (Action.INSERT, Action.REPLACE)])
    return len(decisions)


def _fresh(item: Statement, key: str | None) -> Event:
    row = Event(name=item.definition.name, entity_type=item.label, entity_id=item.entity_id, key=key)
    row.at = row.armed_at = clock.now()
    said = item.said
    if isinstance(said, Wanted):
        move(row, said)
        said = _take_data(row, item) if said.at is None else said
    if isinstance(said, Faulty):
        fail(row, said.text)
    return row


def _take_data(row: Event, item: Statement) -> Faulty | None:
    data = payload(item.definition, item.entity) if item.entity is not None else {}
    if isinstance(data, Faulty):
        return data
    row.data = data
    return None


def _is_due(row: Event) -> bool:
    # What the database is to fill in, an expression, is the present moment.
    due: object = row.next_due_at
    return due is not None and (not isinstance(due, datetime) or due <= timezone.now())


def _reason(item: Statement) -> str:
    return f"{item.label} #{item.entity_id} " + ("is gone." if item.entity is None else "no longer matches.")
