"""Clears the texts that the engine writes and sends about a run of the secrets in its context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from ..authoring.methods import SUBFLOW_RESULT
from ..authoring.registry import registry
from ..machine.redaction import Redactor, secrets_in
from ..machine.secret_places import ANYTHING, Place, declared, masked, places_of
from ..machine.state import Failure, StepRecord, Transition
from ..models import WorkflowRun


def redactor_of(run: WorkflowRun, *left: Any) -> Redactor:
    """Return a redactor of the secrets of a run, and of the child whose result its step got.

    Without the run's workflow none of its code has run here, and no text has its secrets.

    Args:
        left: the context as a step left it in memory, or arguments some of which are for the context.
    """
    definition = registry.get(run.name, run.version)
    if definition is None:
        return Redactor(())
    place = places_of(definition.context_class)
    given = (declared(place, data) if isinstance(data, Mapping) else data for data in left)
    found = {secret for data in (run.data, *given) if data is not None for secret in secrets_in(place, data)}
    return Redactor([*found, *secrets_of_child(run.inputs.get(SUBFLOW_RESULT))])


def secrets_of_child(result: Any) -> Iterator[str]:
    """Yield the secrets in the result of a child run."""
    if isinstance(result, Mapping) and isinstance(result.get("data"), Mapping):
        definition = registry.get(str(result.get("workflow")), str(result.get("version")))
        yield from secrets_in(places_of(definition.context_class if definition else None), result["data"])


def of_transition(run: WorkflowRun, transition: Transition, left: BaseModel | None = None) -> Transition:
    """Return a transition of ``run`` with its texts cleared. Rows, messages, signals and log lines are made of these.

    Invariant: the errors and tracebacks of runs and steps are cleared before they are written.

    Args:
        left: the context as the step left it that raised.
    """
    record = transition.record
    if not (transition.error or transition.failures or (record and (record.error or record.failures))):
        return transition
    clear = redactor_of(run, transition.context, left)
    if not clear:
        return transition
    return replace(
        transition,
        error=clear(transition.error),
        failures=_failures(transition.failures, clear),
        record=_record(record, clear) if record else None,
    )


def _failures(failures: tuple[Failure, ...], clear: Redactor) -> tuple[Failure, ...]:
    return tuple(replace(each, error=clear(each.error), traceback=clear(each.traceback)) for each in failures)


def _record(record: StepRecord, clear: Redactor) -> StepRecord:
    return replace(record, error=clear(record.error), failures=_failures(record.failures, clear))


def mask_event(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of an event, which has no schema, with each key masked that some Context declares as secret."""
    return {key: masked(_of_any_context(key), value) for key, value in data.items()}


def redactor_of_event(data: Mapping[str, Any]) -> Redactor:
    """Return a redactor of the secrets in an event's data, for the errors of its handlers."""
    return Redactor(secret for key, value in data.items() for secret in secrets_in(_of_any_context(key), value))


def _of_any_context(key: str) -> Place:
    places = [places_of(definition.context_class).key(key) for definition in registry]
    found = tuple(schema for place in places if place.holds_secrets for schema in place.schemas)
    return Place(found) if found else ANYTHING
