"""Sends signals: finds their runs, checks their payloads, and stores them in the inboxes once for each key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ... import storable
from ...signatures import did_you_mean
from ..authoring.methods import LONGEST_NAME
from ..authoring.reading import events_of, signals_of
from ..exceptions import ContextInvalid, IllegalMove, InvalidOption, SignalRejected, UnknownSignal
from ..machine import context as contexts
from ..machine.commands import WaitKind
from ..machine.payloads import Accepts
from ..machine.statuses import FINAL
from ..models import Signal, SignalKind, Suspension, WorkflowRun
from . import columns, inbox, rows

# The prefix of an event's name in releases in which events were sent as signals.
EVENT_PREFIX = "event:"

# Rows of one query of a broadcast.
PAGE = 1000


@dataclass(slots=True)
class Outcome:
    """The result of checking a signal: inbox messages to store, and the runs that reject it with the reasons."""

    accepted: list[Signal] = field(default_factory=list)
    rejections: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sending:
    """A signal to send: its name, its payload as JSON-ready data, and the options of ``engine.signal``."""

    name: str
    payload: Mapping[str, Any]
    key: str | None = None
    only_if_waiting: bool = False

    def to_run(self, run: WorkflowRun) -> int:
        """Send to one run; return 1, or 0 where the run does not take it now or has had its key.

        Raises:
            IllegalMove, UnknownSignal, SignalRejected: as ``engine.signal``.
        """
        if run.status in FINAL and not self.only_if_waiting:
            raise IllegalMove(f"{run} is {run.status} and takes no signal.")
        waits = _waits_for(run, self.name)
        if not waits:
            _check_known(run, self.name)
        if self.only_if_waiting and not waits:
            return 0
        outcome = Outcome()
        self._add(outcome, run, bound=self.only_if_waiting)
        return self._post(outcome)

    def to_all(self, correlate: object | None) -> int:
        """Send to all runs that wait for it now; return their number.

        Raises:
            UnknownSignal, SignalRejected: as ``engine.signal``.
        """
        outcome = Outcome()
        for run in _waiting(self.name, correlate):
            self._add(outcome, run, bound=True)
        if self.name.startswith(EVENT_PREFIX) and not outcome.accepted and not outcome.rejections:
            raise UnknownSignal(_use_emit(self.name.removeprefix(EVENT_PREFIX)))
        return self._post(outcome)

    def _add(self, outcome: Outcome, run: WorkflowRun, *, bound: bool) -> None:
        reason = _misfit(run, self.name, self.payload)
        if reason:
            outcome.rejections.append((run.pk, reason))
            return
        # Without a sequence it is kept, and notes which wait the sender may have seen.
        payload = storable.data(self.payload)  # undeclared fields are not validated, but have to be storable
        numbers = {"sequence": run.sequence} if bound else {"run_sequence": run.sequence}
        message = Signal(run_id=run.pk, kind=SignalKind.SIGNAL, name=self.name, payload=payload, **numbers)
        outcome.accepted.append(message)

    def _post(self, outcome: Outcome) -> int:
        posted = inbox.post_many(outcome.accepted, key=self.key)
        if outcome.rejections:
            faults = "; ".join(f"run #{run_id}: {reason}" for run_id, reason in outcome.rejections)
            raise SignalRejected(
                f"Signal {self.name!r} does not fit {faults}", rejections=outcome.rejections, accepted=posted
            )
        return posted


def check_name(name: object) -> str:
    """Return the name of a signal. Raises InvalidOption where it is none."""
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        raise InvalidOption(f"A signal's name has 1 to {LONGEST_NAME} characters, not {name!r}.")
    if fault := storable.fault_of(name):
        raise InvalidOption(f"A signal's name must not be {fault}, as {name!r} is.")
    return name


def _waiting(name: str, correlate: object | None) -> Iterator[WorkflowRun]:
    """Yield the runs that wait for a signal now, in pages: a cursor would not survive a pooler of transactions."""
    waits = Suspension.objects.using(rows.alias()).filter(kind=WaitKind.SIGNAL, name=name)
    if correlate is not None:
        if fault := storable.fault_of(str(correlate)):
            raise InvalidOption(f"correlate= must not be {fault}, as {correlate!r} is.")
        waits = waits.filter(correlation=str(correlate))
    page: Sequence[Suspension] = list(waits.select_related("run").order_by("pk")[:PAGE])
    while page:
        yield from (wait.run for wait in page)
        if len(page) < PAGE:
            return
        page = list(waits.select_related("run").filter(pk__gt=page[-1].pk).order_by("pk")[:PAGE])


def _waits_for(run: WorkflowRun, name: str, kind: WaitKind = WaitKind.SIGNAL) -> bool:
    wait = run.waits_for
    return wait is not None and (wait.kind, wait.name) == (kind, name)


def _check_known(run: WorkflowRun, name: str) -> None:
    """Raise UnknownSignal where the code of the run's workflow never waits for this signal."""
    definition = rows.definition_of(run)
    known = names_of(run)
    if known is not None and name in known:
        return
    if name.startswith(EVENT_PREFIX):
        raise UnknownSignal(_use_emit(name.removeprefix(EVENT_PREFIX)))
    if _waits_for(run, name, WaitKind.EVENT) or (definition and name in events_of(definition) and known is not None):
        raise UnknownSignal(f"{run} waits for the event {name!r}, not for a signal. {_use_emit(name)}")
    if known is not None:
        hint = did_you_mean(name, sorted(known), "It waits for")
        workflow = f"The workflow {run.name!r} of run #{run.pk}"
        raise UnknownSignal(f"{workflow} never waits for the signal {name!r}. {hint}")


def _use_emit(event: str) -> str:
    return f"Events are not sent as signals: call emit({event!r}, ...) of django_ai.automation.events."


def _misfit(run: WorkflowRun, name: str, payload: Mapping[str, Any]) -> str | None:
    try:
        check_payload(run, name, payload)
    except (ContextInvalid, SignalRejected) as error:
        return str(error)
    return None


def check_payload(run: WorkflowRun, name: str, payload: Mapping[str, Any]) -> None:
    """Check a payload against what the run waits for, if that is this signal, and against its Context.

    Without the workflow's code, which this process may not have, the names of the fields alone are checked; the
    worker that delivers the signal checks the rest.

    Raises:
        SignalRejected, ContextInvalid: it does not fit; ``faults`` names the fields.
    """
    definition, accepts = rows.definition_of(run), accepts_of(run, name)
    context_class = definition.context_class if definition else contexts.Unfitting
    fields = accepts.read(payload, context_class) if accepts else payload
    if definition is None:
        if fault := storable.fault_in(payload):
            raise SignalRejected(fault)
        return
    merged = contexts.merge(rows.context_of(run, definition), fields)
    if fields:
        columns.data_of(merged)  # raises ContextInvalid where it is too large


def accepts_of(run: WorkflowRun, name: str) -> Accepts | None:
    """Return which signals the run's wait accepts, if it waits for the signal ``name`` now; None: any."""
    wait = run.waits_for
    if wait is None or (wait.kind, wait.name) != (WaitKind.SIGNAL, name):
        return None
    return rows.accepts_of(run, wait, rows.definition_of(run))


def names_of(run: WorkflowRun) -> frozenset[str] | None:
    """Return the signals that a run may wait for, or None where its code computes some of them."""
    definition = rows.definition_of(run)
    known = signals_of(definition) if definition else None
    wait = run.waits_for
    waited = {wait.name} if wait is not None and wait.kind == WaitKind.SIGNAL else set()
    return None if known is None else known | waited
