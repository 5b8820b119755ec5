"""Masks the secrets in a run's context, messages and errors for people who read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from .authoring.methods import SUBFLOW_RESULT
from .authoring.registry import registry
from .exceptions import kept
from .machine.redaction import Redactor, secrets_in
from .machine.secret_places import MASK, Place, masked, places_of
from .models import PastWait, Signal, SignalKind, StepExecution, WorkflowRun
from .runtime.redaction import secrets_of_child

__all__ = ["MASK", "Mask", "changes_in", "context_class_of", "has_secrets"]

# What the engine itself puts into the payload of an event's message.
_OF_EVENTS = {"event_id", "event_name", "event_at", "entity_id", "entity_type"}


@dataclass(frozen=True, slots=True)
class Mask:
    """Masks the secrets in a run's data; without a Context class, as when the code is gone, all of it.

    Texts are cleared of secrets when they are written. Rows of earlier versions are not: for them
    each text is cleared again where it is shown, of the secrets that the run is known to have.
    """

    context_class: type[BaseModel] | None
    redactor: Redactor

    @classmethod
    def of(cls, run: WorkflowRun, earlier: Iterable[Mapping[str, Any]] = (), messages: Iterable[Signal] = ()) -> Mask:
        """Return the mask of a run.

        Args:
            earlier: changes of its context, whose values an old text may tell.
            messages: of its inbox; those of its children hold the children's contexts.
        """
        context_class = context_class_of(run.name, run.version)
        place = places_of(context_class)
        found = {secret for data in (run.data, *_sides(earlier)) for secret in secrets_in(place, data)}
        for result in (run.inputs.get(SUBFLOW_RESULT), *_results(messages)):
            found.update(secrets_of_child(result))
        return cls(context_class, Redactor(found))

    def text(self, text: str) -> str:
        """Return a text, such as an error, cleared of secrets, and shortened as errors are stored now."""
        return self.redactor(kept(text))

    @property
    def place(self) -> Place:
        """The place of the whole context."""
        return places_of(self.context_class)

    def data(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return a context, or fields of one, with its secrets masked."""
        return {key: masked(self.place.key(key), value) for key, value in data.items()}

    def payload(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the payload of a message with its secrets masked; a key that the Context does not have is masked."""
        return {key: value if key in _OF_EVENTS else masked(self.place.key(key), value) for key, value in data.items()}

    def changes(self, changes: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Return what was changed, with its secrets masked."""
        return {name: [masked(self.place.key(name), side) for side in sides] for name, sides in changes.items()}


def changes_in(
    executions: Iterable[StepExecution], waits: Iterable[PastWait], messages: Iterable[Signal]
) -> Iterator[Mapping[str, Any]]:
    """Yield the changes of the context in a run's history: an old error may contain an earlier secret."""
    yield from (execution.changes for execution in executions)
    yield from (message.changes for message in messages)
    yield from (wait.visit.get("changes", {}) for wait in waits)


def _sides(changes: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the fields that changes name, as they were before and after."""
    for each in changes:
        for side in (0, 1):
            yield {name: sides[side] for name, sides in each.items()}


def _results(messages: Iterable[Signal]) -> Iterator[Any]:
    return (message.payload for message in messages if message.kind == SignalKind.CHILD)


def context_class_of(name: str, version: str) -> type[BaseModel] | None:
    """Return the Context class of a workflow, or None where the code no longer has it."""
    definition = registry.get(name, version)
    return definition.context_class if definition else None


def has_secrets(context_class: type[BaseModel] | None) -> bool:
    """Return whether a context may hold a masked value at any depth; True without a class."""
    return places_of(context_class).holds_secrets


def unmasked(given: Any, shown: Any, stored: Any) -> Any:
    """Return an edited value in which the secrets that were left masked are those that are stored.

    Args:
        given: ``shown`` as a person edited it.
        shown: the stored value as it was shown, masked.
        stored: the value itself.

    Raises:
        ValueError: a mask is left that matches no single secret.
    """
    if given == shown:
        return stored
    if isinstance(given, dict) and isinstance(shown, dict):
        return {key: unmasked(part, shown.get(key), stored.get(key)) for key, part in given.items()}
    if isinstance(given, list) and isinstance(shown, list):
        return _items_unmasked(given, shown, stored)
    if _has_mask(given):
        raise ValueError("It cannot be told which secret is to stay here. Write the secret anew.")
    return given


def _items_unmasked(given: list[Any], shown: list[Any], stored: list[Any]) -> list[Any]:
    """Unmask the items of a list: an unchanged or moved item is found by its masked form."""
    left = [index for index, item in enumerate(shown) if item not in given]
    is_edited = len(given) == len(shown)
    return [
        _item_unmasked(item, index if is_edited and index in left else None, shown, stored)
        if item not in shown or not _has_mask(item)
        else _the_one(item, index if is_edited else None, shown, stored)
        for index, item in enumerate(given)
    ]


def _item_unmasked(item: Any, index: int | None, shown: list[Any], stored: list[Any]) -> Any:
    return unmasked(item, None, None) if index is None else unmasked(item, shown[index], stored[index])


def _the_one(item: Any, index: int | None, shown: list[Any], stored: list[Any]) -> Any:
    """Return the stored item that is shown like this; of several that differ, the one that stands there."""
    alike = [each for each, like in zip(stored, shown, strict=True) if like == item]
    if all(each == alike[0] for each in alike):
        return alike[0]
    if index is not None and shown[index] == item:
        return stored[index]
    return unmasked(item, None, None)


def _has_mask(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_mask, value.values()))
    return any(map(_has_mask, value)) if isinstance(value, list) else value == MASK
