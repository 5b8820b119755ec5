"""What one due event comes to: it occurs, calls subscribers, moves on or is given up."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ..conf import settings
from . import ledger, plan, registry, timing
from .definitions import Kind
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
    entity = event.entity
    said = verdict(definition, entity) if entity is not None else None
    if event.has_occurred:
        return _follow_up(event, said, now)
    return _examine_pending(event, Statement(definition, event.entity_type, event.entity_id, entity, said), now)


def _examine_pending(event: Event, statement: Statement, now: datetime) -> Outcome:
    said = statement.said
    if said is None and statement.entity is not None and event.at > now:
        _pass_over(event, _due_calls(event, now), said)
        return _carry_out(event, now)
    if isinstance(said, Wanted) and said.at == event.at:
        event.correlation = said.correlation
        return _carry_out(event, now, statement)
    history = plan.history_before(now, settings.EVENT_GRACE_SECONDS)
    action = plan.decide(Kind.SCHEDULED, event, said, is_new=False, history=history)
    ledger.change(event, action, statement)
    return Outcome(event, replaced_by=statement if action is Action.REPLACE else None)


def _follow_up(event: Event, said: Verdict, now: datetime) -> Outcome:
    """What comes after an event comes only while it is still true; what failed is repeated anyway."""
    if not (isinstance(said, Wanted) and said.at == event.at):
        waiting = [item for item in _due_calls(event, now) if event.deliveries[item.key]["state"] == timing.WAITING]
        _pass_over(event, waiting, said)
    return _carry_out(event, now)


def _carry_out(event: Event, now: datetime, statement: Statement | None = None) -> Outcome:
    if statement is not None and statement.entity is not None:
        data = payload(statement.definition, statement.entity)
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


def _due_calls(event: Event, now: datetime) -> list[Subscription]:
    return timing.due(event, subscriptions.to(event.name), now).calls


def _pass_over(event: Event, calls: list[Subscription], said: Verdict) -> None:
    """Leave calls out: the condition does not hold at their moment, or cannot be evaluated."""
    for item in calls:
        fault = {"state": timing.FAILED, "error": said.text} if isinstance(said, Faulty) else None
        event.deliveries[item.key] = fault or {"state": timing.SKIPPED}


def _mark(event: Event, calls: list[Subscription], state: str) -> None:
    for item in calls:
        # Attempts are kept: should this call fail too, it is one more of them.
        event.deliveries[item.key] = {**event.deliveries.get(item.key, {}), "state": state}
