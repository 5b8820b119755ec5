"""Brings scheduled events in line with rows that were written without signals."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from django.db import DatabaseError, connections, router, transaction
from django.db.models import Model, QuerySet
from django.utils import timezone

from ..conf import settings
from . import ledger, plan, registry, timing
from .definitions import EventDefinition, Kind
from .ledger import Statement
from .models import Event, database, entities
from .recording import statement_of
from .subscriptions import subscriptions
from .verdicts import Misdeclared, date_column, moment

logger = logging.getLogger(__name__)

Row = TypeVar("Row", bound=Model)
Progress = Callable[[str, int], None]


def reconcile(progress: Progress = lambda what, seen: None) -> int:
    """Look at every row with a date ahead and every event that waits; return how many were corrected.

    For rows written by bulk_create, QuerySet.update or raw SQL, for events that had a fault, and for
    subscriptions that are new. What agrees is only read, so any number may run at once.

    Args:
        progress: called after each batch with what is looked at and how many rows were so far.
    """
    corrected = sum(_reconcile_model(model, progress) for model in registry.origins().values())
    return corrected + _reconcile_events(progress)


def adopt(name: str, progress: Progress = lambda what, seen: None) -> int:
    """Make an immediate event with a condition not occur for the rows for which it holds already.

    To be run once, after such an event was added to a model that has rows; else each of them brings
    the event about when it is saved next.

    Returns:
        How many rows were taken as known.

    Raises:
        LookupError: no model declares an immediate event of this name with a condition.
    """
    found = [item for item in _declared(Kind.ONCE) if item[1].name == name]
    if not found:
        raise LookupError(f"No model declares an immediate event {name!r} with a condition.")
    adopted = 0
    for model, definition in found:
        for rows in _batches(registry.rows_of(model), f"{model._meta.label} {name}", progress):
            adopted += ledger.insert_as_known([statement_of(definition, row) for row in rows])
    return adopted


def _declared(kind: Kind) -> Iterator[tuple[type[Model], EventDefinition]]:
    for model in registry.origins().values():
        yield from ((model, item) for item in registry.definitions_of(model) if item.kind is kind)


def _reconcile_model(model: type[Model], progress: Progress) -> int:
    corrected = 0
    for definition in registry.definitions_of(model):
        if definition.kind is Kind.SCHEDULED:
            try:
                ahead = _ahead(model, definition)
            except Misdeclared as fault:
                logger.error("Event %r is not reconciled: %s.", definition.name, fault)  # noqa: TRY400 - says all
                continue
            for rows in _batches(ahead, f"{model._meta.label} {definition.name}", progress):
                corrected += _harmless(partial(_correct_rows, model, definition, rows), model._meta.label)
    return corrected


def _correct_rows(model: type[Model], definition: EventDefinition, rows: Sequence[Model]) -> int:
    return _correct(model, [statement_of(definition, row) for row in rows])


def _harmless(correct: Callable[[], int], label: str) -> int:
    """Correct a batch; one whose condition or date cannot be read by the database must not keep the others from it."""
    try:
        return correct()
    except DatabaseError:  # locked by somebody, or a query of the user's code: there is a next time
        logger.exception("A batch of %s was not reconciled.", label)
        return 0


def _ahead(model: type[Model], definition: EventDefinition) -> QuerySet[Model]:
    """Return the rows whose date is no history yet."""
    field = date_column(definition, model)
    since: Any = plan.history_before(timezone.now(), settings.EVENT_GRACE_SECONDS)
    if moment(field, since) != since:  # a field of dates
        since = field.to_python(timezone.localtime(since, timezone.get_default_timezone()))
    return registry.rows_of(model).filter(**{f"{field.name}__gte": since})


def _correct(model: type[Model], statements: Sequence[Statement]) -> int:
    """Bring the rows in line whose statements differ, with the entities locked and read anew."""
    wrong = ledger.differing(statements)
    gone = [item for item in wrong if item.entity is None]
    there = [(item.entity.pk, item.definition) for item in wrong if item.entity is not None]
    if not wrong:
        return 0
    with transaction.atomic(using=router.db_for_write(model)):
        rows = {row.pk: row for row in _locked(registry.rows_of(model).filter(pk__in={pk for pk, _ in there}))}
        anew = [statement_of(definition, rows[pk]) for pk, definition in there if pk in rows]
        return ledger.bring_in_line([*gone, *anew])


def _reconcile_events(progress: Progress) -> int:
    waiting = Event.objects.using(database()).pending().filter(key__isnull=False, next_due_at__isnull=False)
    batches = _batches(waiting, "events", progress)
    return sum(_harmless(partial(_reconcile_batch, events), "events") for events in batches)


def _reconcile_batch(events: list[Event]) -> int:
    found = entities(events)
    by_model: dict[type[Model], list[Statement]] = {}
    undeclared = []
    for event in events:
        definition = registry.definition(event.entity_type, event.name)
        model = registry.model_named(event.entity_type)
        if model is None or definition is None:
            undeclared.append(event.pk)
        elif definition.kind is Kind.SCHEDULED:
            by_model.setdefault(model, []).append(_statement(event, definition, found.get(event.pk)))
    corrected = sum(_correct(model, statements) for model, statements in by_model.items())
    return corrected + _cancel_undeclared(undeclared) + _count_due_moments_anew(events)


def _statement(event: Event, definition: EventDefinition, entity: Model | None) -> Statement:
    if entity is None:
        return Statement(definition, event.entity_type, event.entity_id, None, None)
    return statement_of(definition, entity)


def _cancel_undeclared(numbers: list[int]) -> int:
    return _change(
        numbers,
        lambda event: ledger.cancel(event, f"{event.entity_type} declares {event.name} no more."),
        # One that is due by now belongs to the scheduler, which lets it occur.
        at__gt=timezone.now(),
    )


def _count_due_moments_anew(events: list[Event]) -> int:
    """Let pending events know of subscriptions that were deployed after them."""
    return _change([event.pk for event in events if event.next_due_at != _next_due(event)], _set_next_due)


def _change(numbers: list[int], change: Callable[[Event], None], **still: Any) -> int:
    """Change those of the events that are pending when they are locked."""
    if not numbers:
        return 0
    events = Event.objects.using(database()).pending().filter(pk__in=numbers, **still)
    with transaction.atomic(using=database()):
        rows = list(ledger.lockable(events))
        for row in rows:
            change(row)
        ledger.update(rows)
    return len(rows)


def _next_due(event: Event) -> Any:
    return timing.next_due(event, subscriptions.to(event.name))


def _set_next_due(event: Event) -> None:
    event.next_due_at = _next_due(event)


def _batches(rows: QuerySet[Row], what: str, progress: Progress) -> Iterator[list[Row]]:
    last, seen = None, 0
    while True:
        rest = rows if last is None else rows.filter(pk__gt=last)
        batch = list(rest.order_by("pk")[: settings.BATCH_SIZE])
        if not batch:
            return
        yield batch
        last, seen = batch[-1].pk, seen + len(batch)
        progress(what, seen)


def _locked(rows: QuerySet[Model]) -> QuerySet[Model]:
    features = connections[rows.db].features
    if not features.has_select_for_update:
        return rows
    return rows.select_for_update(
        # Whoever holds a row is saving it, and brings its events in line himself.
        skip_locked=features.has_select_for_update_skip_locked,
        no_key=features.has_select_for_no_key_update,
    )
