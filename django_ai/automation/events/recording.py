"""A row of a model was saved or deleted: what it says of its events goes into the ledger."""

from __future__ import annotations

import logging
from collections.abc import Collection

from django.db.models import Model

from . import ledger
from .definitions import EventDefinition, Happening, Kind
from .ledger import Statement
from .registry import definitions_of, label_of
from .verdicts import Misdeclared, Wanted, pk_text, verdict

logger = logging.getLogger(__name__)


def record(entity: Model, happening: Happening, changed: Collection[str] = ()) -> None:
    """Bring the events of a row in line that was just created, updated or deleted, in its transaction.

    Args:
        entity: the row as it is in the database now, or was before it was deleted.
        happening: what was done to it.
        changed: the watched fields whose values are new.
    """
    try:
        _record(entity, happening, changed)
    except Misdeclared as error:
        logger.error("No events of %s #%s: %s.", entity._meta.label, entity.pk, error)  # noqa: TRY400 - says all


def statement_of(definition: EventDefinition, entity: Model, *, is_new: bool = False) -> Statement:
    """Return what the entity says of one of its events."""
    label = label_of(type(entity))
    return Statement(definition, label, pk_text(entity), entity, verdict(definition, entity), is_new)


def concerns(definition: EventDefinition, happening: Happening, changed: Collection[str]) -> bool:
    """Say whether what was done to a row is anything to this event."""
    if happening not in definition.happenings:
        return False
    return happening is not Happening.UPDATE or not definition.watch or not set(definition.watch).isdisjoint(changed)


def _record(entity: Model, happening: Happening, changed: Collection[str]) -> None:
    if happening is Happening.DELETE:
        ledger.forget_entity(label_of(type(entity)), pk_text(entity))
    is_new = happening is Happening.CREATE
    definitions = [item for item in definitions_of(type(entity)) if concerns(item, happening, changed)]
    statements = [statement_of(item, entity, is_new=is_new) for item in definitions]
    ledger.insert([item for item in statements if _is_occurrence_of_its_own(item)], lasting=False)
    ledger.bring_in_line([item for item in statements if _concerns_a_lasting_row(item)])


def _is_occurrence_of_its_own(item: Statement) -> bool:
    return item.definition.kind is Kind.RECURRING and isinstance(item.said, Wanted)


def _concerns_a_lasting_row(item: Statement) -> bool:
    if item.said is None:
        # Nothing to cancel: a new row has none yet, and an immediate event does not go back.
        return item.definition.kind is Kind.SCHEDULED and not item.is_new
    return not _is_occurrence_of_its_own(item)
