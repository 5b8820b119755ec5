"""Starts of runs with options: whose they are, what they are found by, and only once per key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Never

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import Model
from django.db.models.fields import AutoFieldMixin
from pydantic import BaseModel

from ... import storable
from ..authoring.registry import registry
from ..exceptions import ContextInvalid, InvalidOption
from ..machine.definition import WorkflowDefinition
from ..models import RunTag, WorkflowRun
from . import creating, rows
from .contexts import by_name, make_context

LONGEST_KEY = 200
LONGEST_TAG = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """Starts runs with the options that ``engine.using`` was given."""

    owner_id: Any = None
    idempotency_key: str | None = None
    tags: tuple[str, ...] = ()
    version: str | None = None

    @classmethod
    def of(cls, *, owner: Any, idempotency_key: str | None, tags: Iterable[str], version: str | None) -> Starter:
        """Check the options and return what starts runs with them. Raises InvalidOption."""
        if idempotency_key is not None:
            check_text("idempotency_key", idempotency_key, LONGEST_KEY)
        names: object = tags
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise InvalidOption(f"tags is a list of texts: write tags=[{names!r}].")
        given = tuple(names)
        for tag in given:
            check_text("A tag", tag, LONGEST_TAG)
        unique = tuple(dict.fromkeys(given))
        owner_id = None if owner is None else _key_of(owner)
        return cls(owner_id=owner_id, idempotency_key=idempotency_key, tags=unique, version=version)

    def start(self, workflow: str | type, /, *misplaced: Never, **context: Any) -> WorkflowRun:
        """Start a run and return it, as ``engine.start`` does; or return the run that has the key."""
        definition = self._definition(workflow)
        if misplaced:
            raise by_name(definition, misplaced)

        def create() -> WorkflowRun:
            return self._create(definition, [make_context(definition, context)])[0]

        if self.idempotency_key is None:
            return create()
        return _once(definition.name, self.idempotency_key, create)

    def start_many(self, workflow: str | type, contexts: Iterable[Mapping[str, Any]], /) -> list[WorkflowRun]:
        """Start a run for each of the contexts, all of them or none, as ``engine.start_many`` does.

        Raises:
            InvalidOption: an idempotency key, which is one run's, was given.
        """
        if self.idempotency_key is not None:
            raise InvalidOption("An idempotency key is the key of one run: start_many cannot give it to several.")
        definition = self._definition(workflow)
        if isinstance(contexts, Mapping | str):
            raise ContextInvalid("start_many takes a list of dicts, one for each run: start_many(workflow, [{…}]).")
        return self._create(definition, [_numbered(definition, *item) for item in enumerate(contexts)])

    def _definition(self, workflow: str | type) -> WorkflowDefinition:
        return registry.exactly(workflow, self.version) if self.version else registry.find(workflow)

    def _create(self, definition: WorkflowDefinition, contexts: Iterable[BaseModel]) -> list[WorkflowRun]:
        columns = {"owner_id": self.owner_id, "idempotency_key": self.idempotency_key}
        starts = [(context, columns) for context in contexts]
        return rows.despite_deadlocks(lambda: self._insert(definition, starts))

    def _insert(self, definition: WorkflowDefinition, starts: Sequence[creating.Start]) -> list[WorkflowRun]:
        if not self.tags:
            return creating.create_many(definition, starts)
        with rows.transaction_of_runs():
            runs = creating.create_many(definition, starts)
            tags = [RunTag(run=run, name=name) for run in runs for name in self.tags]
            RunTag.objects.using(rows.alias()).bulk_create(tags, batch_size=creating.BATCH)
        return runs


def _numbered(definition: WorkflowDefinition, number: int, arguments: Mapping[str, Any]) -> BaseModel:
    try:
        return make_context(definition, arguments)
    except ContextInvalid as error:
        raise ContextInvalid(f"contexts[{number}]: {error}") from error


def _once(name: str, key: str, create: Callable[[], WorkflowRun]) -> WorkflowRun:
    made = WorkflowRun.objects.using(rows.alias()).filter(name=name, idempotency_key=key)
    rows.refresh()
    known = made.first()
    if known is not None:
        return known
    try:
        # Its savepoint keeps the caller's transaction whole when another start was first. One that
        # has not committed yet is waited for by the database's unique index.
        return create()
    except IntegrityError:
        winner = made.first()
        if winner is None:
            raise
        return winner


def _key_of(owner: Any) -> Any:
    """Return the primary key of a user, or a key itself. Raises InvalidOption where it can be no user's."""
    users = get_user_model()
    if isinstance(owner, Model) and not isinstance(owner, users):
        raise InvalidOption(f"owner={owner!r} is no user: it takes a {users.__name__} or the primary key of one.")
    key = getattr(owner, "pk", owner)
    column: Any = users._meta.pk
    # No user has the key 0 where Django makes the keys. A bool or a float is no key.
    is_key = key is not None and not isinstance(key, bool | float) and not (isinstance(key, str) and not key.strip())
    try:
        found = column.to_python(key) if is_key else None
        if found is not None:
            column.run_validators(found)  # which know the largest number of the column
    except ValidationError:
        found = None
    if found is None or (isinstance(column, AutoFieldMixin) and found < 1):
        raise InvalidOption(
            f"owner={owner!r} is no stored user, as an anonymous visitor is none, and a run without an owner is open"
            " to everybody unless its workflow says otherwise. Have people log in, or leave the owner out."
        )
    return found


def check_text(what: str, text: object, longest: int) -> None:
    """Check a key or a tag. Raises InvalidOption, which calls it ``what``."""
    # MariaDB takes two texts that differ in blanks at the end for the same.
    if not isinstance(text, str) or not 0 < len(text) <= longest or text != text.strip():
        raise InvalidOption(f"{what} must be 1 to {longest} characters, with no blank at either end, not {text!r}.")
    if fault := storable.fault_of(text):
        raise InvalidOption(f"{what} must not be {fault}, as {text!r} is.")
