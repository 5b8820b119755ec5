"""What one due event comes to: it occurs, calls subscribers, moves on or is given up."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ..conf import settings
from . import ledger, plan, registry, timing
from .definitions import EventDefinition, Kind
from .ledger import Statement
from .models import Event, EventStatus
from .plan import Action
from .subscriptions import Subscription, subscriptions
from .verdicts import Faulty, Verdict, Wanted, payload, verdict


@dataclass
class Outcome:
    """What has to be done for one event, whose row was changed but not saved."""

    event: Event
    calls: list[Subscription] = field(default_factory=list)
    replaced_by: Statement | None = None
    itself: bool = False


def examine(event: Event, now: datetime) -> Outcome:
    """Decide what an event that is due comes to, by what its entity says now. Saves nothing.

    A scheduled event was armed in good faith: its row of the model may have been changed since by
    something that sends no signals, so date and condition are looked at once more.
    """
    definition = registry.definition(event.entity_type, event.name)
    if definition is None or definition.kind is not Kind.SCHEDULED:
        return _carry_out(event, now)
    if event.entity is None:
        ledger.cancel(event, f"{event.entity_type} #{event.entity_id} is gone.")
        event.key = None
        return Outcome(event)
    return _examine_scheduled(event, definition, verdict(definition, event.entity), now)


def _examine_scheduled(event: Event, definition: EventDefinition, said: Verdict, now: datetime) -> Outcome:
    statement = Statement(definition, event.entity_type, event.entity_id, event.entity, said)
    history = plan.history_before(now, settings.EVENT_GRACE_SECONDS)
    action = plan.decide(Kind.SCHEDULED, event, said, is_new=False, history=history)
    if said is None and (event.has_occurred or event.at > now):
        return _let_pass(event, now)
    if isinstance(said, Wanted) and said.at == event.at:
        event.correlation = said.correlation
        return _carry_out(event, now, definition)
    if action is Action.NOTHING:
        return _let_pass(event, now, said) if isinstance(said, Faulty) else _carry_out(event, now, definition)
    ledger.change(event, action, statement)
    return Outcome(event, replaced_by=statement if action is Action.REPLACE else None)


def _let_pass(event: Event, now: datetime, fault: Faulty | None = None) -> Outcome:
    """The condition does not hold at this moment: what is due now is skipped, the rest stays."""
    due = timing.due(event, subscriptions.to(event.name), now)
    state = {"state": timing.FAILED, "error": fault.text} if fault else {"state": timing.SKIPPED}
    for item in [*due.calls, *due.too_late]:
        event.deliveries[item.key] = dict(state)
    event.next_due_at = timing.next_due(event, subscriptions.to(event.name))
    return Outcome(event)


def _carry_out(event: Event, now: datetime, definition: EventDefinition | None = None) -> Outcome:
    if definition and definition.data and event.entity is not None:
        data = payload(definition, event.entity)
        if isinstance(data, Faulty):
            ledger.fail(event, data.text)
            return Outcome(event)
        event.data = data
    subscribed = subscriptions.to(event.name)
    due = timing.due(event, subscribed, now)
    _mark(event, due.too_late, timing.SKIPPED)
    _mark(event, due.calls, timing.DONE)
    if due.itself:
        _occur(event, now, subscribed)
    event.next_due_at = timing.next_due(event, subscribed)
    return Outcome(event, due.calls, itself=due.itself)


def _occur(event: Event, now: datetime, subscribed: list[Subscription]) -> None:
    event.status, event.occurred_at = EventStatus.OCCURRED, now
    later = [item for item in subscribed if timing.comes_after(event.at, item)]
    _mark(event, [item for item in later if item.key not in event.deliveries], timing.WAITING)


def _mark(event: Event, subscribed: list[Subscription], state: str) -> None:
    for item in subscribed:
        # Attempts are kept: should this call fail too, it is one more of them.
        event.deliveries[item.key] = {**event.deliveries.get(item.key, {}), "state": state}
