"""All that one move of a run writes, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db.models import Model

from ..models import Signal, WorkflowRun


class NewRow(NamedTuple):
    """A row to be inserted: all that an INSERT gives, by attribute. It costs less than an instance of the model."""

    model: type[Model]
    values: Mapping[str, Any]

    @classmethod
    def of(cls, instance: Model) -> NewRow:
        """Return the row that an instance is in memory."""
        return cls(type(instance), vars(instance))

    def instance(self) -> Model:
        """Return it as an instance of its model."""
        fields = (field.attname for field in self.model._meta.concrete_fields)
        return self.model(**{name: self.values[name] for name in fields if name in self.values})


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """What the commit has a database write: all of it, or nothing where the run is no longer there.

    Attributes:
        run: the run, in memory already where the move takes it.
        fence: the columns that say where it was.
        columns: those of its columns that change.
        ends_wait: whether its Suspension is over. A new one may be among the rows.
        rows: new rows of other tables: history, a wait, messages to other runs.
        message: the message of its inbox that made the move, if one did.
        marks: what is written to that message.
    """

    run: WorkflowRun
    fence: Mapping[str, Any]
    columns: Mapping[str, Any]
    ends_wait: bool = False
    rows: Sequence[NewRow] = ()
    message: Signal | None = None
    marks: Mapping[str, Any] = field(default_factory=dict)

    @property
    def database(self) -> str:
        """The alias of the database that has the run."""
        database: str = self.run._state.db or ""
        return database
