"""All that the page of one run shows, read in a fixed number of queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.utils.safestring import SafeString, mark_safe

from ...events.models import Event
from ..authoring.reading import read_graph
from ..drawing.svg import Marks, draw
from ..machine.statuses import CANCELLED, FAILED, RUNNING, SUSPENDED
from ..masking import Mask, changes_in
from ..models import Restart, Signal, SignalKind, WorkflowRun
from ..runtime import rows
from . import links, timeline
from .sentences import sentence
from .showing import shown

# The newest of each that a page shows.
MOST_VISITS = 300
MOST_MESSAGES = 100
MOST_CHILDREN = 50
MOST_ENTRIES = 50
MOST_ANCESTORS = 5

# How the step is marked that a run is at; where it has completed, that step is done.
_NOW_AT: dict[str, str] = {RUNNING: "running", SUSPENDED: "waiting", FAILED: "failed", CANCELLED: "cancelled"}


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the run's inbox, as the page shows it."""

    row: Signal
    payload: list[tuple[str, str]]
    changes: Sequence[timeline.Change]
    link: str


def collect(run: WorkflowRun, now: datetime, visible: Callable[..., QuerySet[Any]]) -> dict[str, Any]:
    """Return the context of the page's template.

    Args:
        run: the run whose page it is.
        now: the present moment.
        visible: leaves of some rows those whose runs the user may know of; a second argument names the field that
            holds the run's number.
    """
    event = Event.objects.filter(pk=run.triggered_by_event_id).first() if run.triggered_by_event_id else None
    executions = _newest(run.step_executions.all(), "sequence", MOST_VISITS)
    waits = _newest(run.past_waits.all(), "sequence", MOST_VISITS)
    messages = _newest(run.signals.all(), "pk", MOST_MESSAGES)
    mask = Mask.of(run, changes_in(executions, waits, messages), messages)
    history = timeline.with_messages(timeline.rows_of(run, executions, waits, mask), messages)
    return {
        "run": run,
        "now": now,
        "sentence": mask.text(sentence(run, now)),
        "error": mask.text(run.error) if run.status != CANCELLED else "",
        "graph": _graph(run, history),
        "timeline": timeline.with_bars(history, now),
        "is_cut": len(executions) == MOST_VISITS or len(waits) == MOST_VISITS,
        "context": _context(run, mask),
        "messages_of_run": [_message(message, mask) for message in messages],
        "ancestors": list(_ancestors(run, visible)),
        "children": _newest(visible(run.child_runs.defer("data")), "pk", MOST_CHILDREN),
        "restarts": list(visible(run.restarts.select_related("run"), "run").order_by("pk")[:MOST_CHILDREN]),
        "origin": _origin(run, visible),
        "tags": [tag.name for tag in run.tags.all()],
        "event": event,
        "event_link": links.of_event(run.triggered_by_event_id),
        "entity_link": links.of_entity(event) if event else "",
        "key": mask.text(run.idempotency_key or ""),
        "entries": _log(run),
    }


def _newest(found: QuerySet[Any], order: str, most: int) -> list[Any]:
    return list(found.order_by(f"-{order}")[:most])[::-1]


def _context(run: WorkflowRun, mask: Mask) -> list[tuple[str, str, str]]:
    """Return each field of the context, its value as a text, and where the row that it names has its page."""
    masked = mask.data(run.data)
    models = links.models_of(mask.context_class)
    return [(name, shown(value), links.of_row(models.get(name, ""), run.data[name])) for name, value in masked.items()]


def _message(message: Signal, mask: Mask) -> Message:
    payload, link = dict(message.payload), ""
    if message.kind == SignalKind.CHILD:
        link = links.of_run(int(message.name)) if message.name.isdigit() else ""
        payload = {name: payload[name] for name in ("workflow", "status", "error") if payload.get(name)}
        shown_payload: Mapping[str, Any] = payload
    elif message.kind == SignalKind.CANCEL:
        shown_payload = payload
    else:
        link = links.of_event(payload.get("event_id")) if message.kind == SignalKind.EVENT else ""
        shown_payload = mask.payload(payload)
    texts = [(name, mask.text(shown(value))) for name, value in shown_payload.items()]
    return Message(message, texts, timeline.changes_of(message.changes, mask), link)


def _ancestors(run: WorkflowRun, visible: Callable[..., QuerySet[Any]]) -> Iterator[WorkflowRun]:
    """Return the run's parent and those above it, the topmost first."""
    found: list[WorkflowRun] = []
    parents = visible(WorkflowRun.objects.using(run._state.db).defer("data"))
    parent_id = run.parent_run_id
    while parent_id is not None and len(found) < MOST_ANCESTORS:
        parent = parents.filter(pk=parent_id).first()
        if parent is None:
            break
        found.append(parent)
        parent_id = parent.parent_run_id
    return reversed(found)


def _origin(run: WorkflowRun, visible: Callable[..., QuerySet[Any]]) -> Restart | None:
    restarts = Restart.objects.using(run._state.db).filter(run=run).select_related("origin")
    found: Restart | None = visible(restarts, "origin").first()
    return found


def _log(run: WorkflowRun) -> list[LogEntry]:
    entries = LogEntry.objects.filter(
        content_type_id=ContentType.objects.get_for_model(WorkflowRun).pk, object_id=str(run.pk)
    )
    return list(entries.select_related("user").order_by("-action_time")[:MOST_ENTRIES])


def _graph(run: WorkflowRun, history: Sequence[timeline.Row]) -> SafeString | str:
    definition = rows.definition_of(run)
    if definition is None:
        return ""
    return mark_safe(draw(read_graph(definition), _marks(run, history)))  # noqa: S308 - drawn of escaped parts


def _marks(run: WorkflowRun, history: Iterable[timeline.Row]) -> Marks:
    # A step is where the run has been in it: a wait for its entry is the step too.
    been = [row for row in history if row.kind == "step" or row.state == "waiting"]
    steps = dict.fromkeys((row.step for row in been), "done")
    if run.status in _NOW_AT:
        steps[run.current_step] = _NOW_AT[run.status]
    visits = Counter(row.step for row in been if row.kind == "step")
    ways = {(row.step, following.step) for row, following in pairwise(been)}
    if been and been[-1].step != run.current_step:
        ways.add((been[-1].step, run.current_step))
    return Marks(steps=steps, visits=visits, ways=frozenset(ways))
