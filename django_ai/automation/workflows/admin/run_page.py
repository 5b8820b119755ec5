"""All that the page of one run shows, read in a fixed number of queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.safestring import mark_safe

from ...events.models import Event
from ..authoring.reading import read_graph
from ..drawing.svg import Marks, draw
from ..machine.statuses import CANCELLED, FAILED, RUNNING, SUSPENDED
from ..masking import Mask, changes_in
from ..models import Restart, Signal, SignalKind, WorkflowRun
from ..runtime import rows
from . import history, links, timeline
from .bounds import Parts
from .sentences import sentence
from .showing import shown

# How many of each a page shows.
MOST_MOVES = 100
MOST_MESSAGES = 100
MOST_CHILDREN = 50
MOST_ENTRIES = 50
MOST_TAGS = 20
MOST_ANCESTORS = 5

# The number of a run's latest moves whose transitions the graph shows.
MOST_WAYS = 20_000

# How the step is marked that a run is at; where it has completed, that step is done.
_NOW_AT: dict[str, str] = {RUNNING: "running", SUSPENDED: "waiting", FAILED: "failed", CANCELLED: "cancelled"}


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the run's inbox, as the page shows it."""

    row: Signal
    error: str
    payload: list[tuple[str, str]]
    changes: Sequence[timeline.Change]
    link: str


def collect(
    run: WorkflowRun, now: datetime, visible: Callable[..., QuerySet[Any]], parameters: QueryDict
) -> dict[str, Any]:
    """Return the context of the page's template.

    Args:
        run: the run whose page it is.
        now: the present moment.
        visible: leaves of some rows those whose runs the user may know of; a second argument names the field that
            holds the run's number.
        parameters: of the page's address, which say how far back each table is shown.
    """
    event = Event.objects.filter(pk=run.triggered_by_event_id).first() if run.triggered_by_event_id else None
    parts = Parts(parameters)
    moves = history.moves_of(run, parts, MOST_MOVES)
    inbox = parts.of("messages", run.signals.all(), MOST_MESSAGES)
    mask = Mask.of(run, changes_in(moves.executions, moves.waits, inbox.rows), [*inbox.rows, *moves.answers])
    shown_rows = timeline.rows_of(run if moves.are_newest else None, moves.executions, moves.waits, mask)
    lines = timeline.with_bars(timeline.with_messages(shown_rows, moves.answers), now)
    past = history.summary_of(run, MOST_WAYS)
    return {
        "run": run,
        "owner": _owner(run),
        "now": now,
        "sentence": mask.text(sentence(run, now)),
        "error": mask.text(run.error) if run.status != CANCELLED else "",
        "graph": _graph(run, past, shown_rows, are_newest=moves.are_newest),
        "timeline": parts.part("moves", lines[::-1], past.moves, moves.last),
        "past": past,
        "context": _context(run, mask),
        "inbox": inbox,
        "messages_of_run": [_message(message, mask) for message in inbox.rows],
        "ancestors": list(_ancestors(run, visible)),
        "children": parts.of("children", visible(run.child_runs.defer(*rows.LARGE)), MOST_CHILDREN),
        "restarts": parts.of("restarts", visible(_light(run.restarts.all(), "run"), "run"), MOST_CHILDREN),
        "origin": _origin(run, visible),
        "tags": parts.of("tags", run.tags.all(), MOST_TAGS),
        "event": event,
        "event_link": links.of_event(run.triggered_by_event_id),
        "entity_link": links.of_entity(event) if event else "",
        "key": mask.text(run.idempotency_key or ""),
        "entries": parts.of("entries", _log(run), MOST_ENTRIES),
    }


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
    return Message(message, mask.text(message.error), texts, timeline.changes_of(message.changes, mask), link)


def _ancestors(run: WorkflowRun, visible: Callable[..., QuerySet[Any]]) -> Iterator[WorkflowRun]:
    """Return the run's parent and those above it, the topmost first."""
    found: list[WorkflowRun] = []
    parents = visible(WorkflowRun.objects.using(run._state.db).defer(*rows.LARGE))
    parent_id = run.parent_run_id
    while parent_id is not None and len(found) < MOST_ANCESTORS:
        parent = parents.filter(pk=parent_id).first()
        if parent is None:
            break
        found.append(parent)
        parent_id = parent.parent_run_id
    return reversed(found)


def _origin(run: WorkflowRun, visible: Callable[..., QuerySet[Any]]) -> Restart | None:
    restarts = _light(Restart.objects.using(run._state.db).filter(run=run), "origin")
    found: Restart | None = visible(restarts, "origin").first()
    return found


def _light(restarts: QuerySet[Restart], side: str) -> QuerySet[Restart]:
    return restarts.select_related(side).defer(*(f"{side}__{name}" for name in rows.LARGE))


def _owner(run: WorkflowRun) -> object:
    """Return the run's owner, whose row may be in another database than the run; None where it has none."""
    if run.owner_id is None:
        return None
    # Not through the run, which would have the user looked for in its own database.
    users: QuerySet[Any] = QuerySet(get_user_model())
    return users.filter(pk=run.owner_id).first() or f"user {run.owner_id}, who is gone"


def _log(run: WorkflowRun) -> QuerySet[LogEntry]:
    of_runs = LogEntry.objects.filter(content_type_id=ContentType.objects.get_for_model(WorkflowRun).pk)
    return of_runs.filter(object_id=str(run.pk)).select_related("user")


def _graph(run: WorkflowRun, past: history.Summary, lines: Sequence[timeline.Row], *, are_newest: bool) -> str:
    definition = rows.definition_of(run)
    if definition is None:
        return ""
    marks = _marks(run, past, lines, are_newest=are_newest)
    return mark_safe(draw(read_graph(definition), marks))  # noqa: S308 - drawn of escaped parts


def _marks(run: WorkflowRun, past: history.Summary, lines: Sequence[timeline.Row], *, are_newest: bool) -> Marks:
    # A step is where the run has been in it: a wait for its entry is the step too.
    been = [row for row in lines if row.kind == "step" or row.state == "waiting"]
    visits = past.visits + Counter(row.step for row in been if row.kind == "step" and row.is_present)
    steps = dict.fromkeys([*visits, *(row.step for row in been)], "done")
    if run.status in _NOW_AT:
        steps[run.current_step] = _NOW_AT[run.status]
    ways = past.ways | {(row.step, following.step) for row, following in pairwise(been)}
    if are_newest and been and been[-1].step != run.current_step:
        ways |= {(been[-1].step, run.current_step)}
    return Marks(steps=steps, visits=visits, ways=ways)
