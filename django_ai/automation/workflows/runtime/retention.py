"""Runs and events that nobody needs any more are deleted, in batches that are transactions of their own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.deletion import Collector, ProtectedError, RestrictedError
from django.utils.module_loading import import_string

from ... import clock
from ...conf import settings
from ...events.models import Event, EventStatus
from .. import logs
from ..authoring.registry import registry
from ..machine.statuses import FINAL
from ..models import EventBurst, WorkflowRun
from . import inbox, rows

logger = logging.getLogger(__name__)

Archive = Callable[[Sequence[WorkflowRun]], object]
Progress = Callable[["Cleaned"], object]


@dataclass(slots=True)
class Cleaned:
    """How much was deleted, or with ``dry_run`` would be.

    Attributes:
        runs: finished runs, each with its history, its inbox and its tags.
        events: events that have occurred or were given up, and of which no run is left.
        kept: runs that a model of the project protects.
    """

    runs: int = 0
    events: int = 0
    kept: int = 0


def cleanup(
    *,
    before: datetime | None = None,
    batch_size: int | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
    go_on: Callable[[], bool] = lambda: True,
) -> Cleaned:
    """Delete what has been finished for longer than it is kept; return how much. Any number may run at once.

    A run is never deleted while it, or its parent, is under way. Its idempotency key is free again, and
    an event that started it may go too.

    Args:
        before: delete what was finished before this moment, whatever the settings say. By default each
            workflow's ``retention`` counts, else ``DJANGO_AI["RETENTION_DAYS"]``; without either
            nothing is deleted.
        batch_size: rows that one transaction deletes; by default ``DJANGO_AI["BATCH_SIZE"]``.
        dry_run: count only.
        progress: called after each batch with what has been done so far.
        go_on: asked before each batch whether to go on.

    Raises:
        ImportError: ``DJANGO_AI["RETENTION_ARCHIVE"]`` names nothing that can be imported. What it raises
            itself comes through; the runs of that batch are still there.
    """
    done = Cleaned()
    moment = clock.read(rows.alias())
    runs, events = _expired_runs(before, moment), _expired_events(before, moment)
    if dry_run:
        return Cleaned(runs=sum(found.count() for found in runs), events=sum(found.count() for found in events))
    size = batch_size or settings.BATCH_SIZE
    for _ in _batches(runs, events, size, done):
        if progress:
            progress(done)
        if not go_on():
            break
    return done


def _batches(
    runs: Sequence[QuerySet[WorkflowRun]], events: Sequence[QuerySet[Event]], size: int, done: Cleaned
) -> Iterator[None]:
    for found in runs:
        yield from _delete_runs(found, size, done)
    for gone in events:
        yield from _delete_events(gone, size, done)
    yield from _delete_orphans(size)


def _expired_runs(before: datetime | None, now: datetime) -> list[QuerySet[WorkflowRun]]:
    if before is not None:
        return [_finished(before)]
    own = {definition.name: definition.retention for definition in registry if definition.retention}
    found = [_finished(_ago(now, kept)).filter(name=name) for name, kept in own.items()]
    if settings.RETENTION_DAYS is not None:
        found.append(_finished(_ago(now, timedelta(days=settings.RETENTION_DAYS))).exclude(name__in=own))
    return found


def _ago(now: datetime, kept: timedelta) -> datetime:
    try:
        return now - kept
    except OverflowError:  # kept for ever
        return datetime.min.replace(year=2, tzinfo=now.tzinfo)


def _finished(before: datetime) -> QuerySet[WorkflowRun]:
    parent_is_active = Exists(WorkflowRun.objects.active().filter(pk=OuterRef("parent_run_id")))
    runs = WorkflowRun.objects.using(rows.alias()).filter(status__in=FINAL, finished_at__lt=before)
    return runs.filter(~parent_is_active)


def _delete_runs(found: QuerySet[WorkflowRun], size: int, done: Cleaned) -> Iterator[None]:
    after = Q()
    archive = _archive()
    while True:
        with rows.transaction_of_runs():
            locked = found.select_for_update(**rows.lock_options(skip_locked=True))
            batch = list(locked.filter(after).order_by("finished_at", "id")[:size])
            if not batch:
                return
            deletable, kept = _deletable(batch)
            if archive and deletable:
                archive(deletable)
            _delete(deletable)
        done.runs += len(deletable)
        done.kept += kept
        last = batch[-1]
        # What is kept is not looked at again.
        after = Q(finished_at__gt=last.finished_at) | Q(finished_at=last.finished_at, id__gt=last.pk)
        yield


def _deletable(batch: list[WorkflowRun]) -> tuple[list[WorkflowRun], int]:
    """Return the runs of a batch that no model of the project protects, and how many others there are."""
    if _can_go(batch):
        return batch, 0
    free = [run for run in batch if _can_go([run])]
    return free, len(batch) - len(free)


def _can_go(runs: list[WorkflowRun]) -> bool:
    try:
        Collector(using=rows.alias()).collect(runs)
    except (ProtectedError, RestrictedError) as error:
        if len(runs) == 1:
            logger.info("%s is kept: %s", runs[0], error.args[0], extra=logs.about(runs[0]))
        return False
    return True


def _delete(runs: list[WorkflowRun]) -> None:
    # Through the models, so that what the project has hung onto a run goes, or is let go, as it says.
    WorkflowRun.objects.using(rows.alias()).filter(pk__in=[run.pk for run in runs]).delete()


def _archive() -> Archive | None:
    path = settings.RETENTION_ARCHIVE
    if path is None:
        return None
    archive: Any = import_string(path)
    return archive  # type: ignore[no-any-return]


def _expired_events(before: datetime | None, now: datetime) -> list[QuerySet[Event]]:
    if before is None:
        if settings.RETENTION_DAYS is None:
            return []
        before = _ago(now, timedelta(days=settings.RETENTION_DAYS))
    has_run = Exists(WorkflowRun.objects.filter(triggered_by_event_id=OuterRef("pk")))
    # A row with a key is what the engine knows of an entity; without it the event would come about again.
    gone = Event.objects.using(rows.alias()).filter(
        Q(occurred_at__isnull=True) | Q(occurred_at__lt=before),
        status__in=(EventStatus.OCCURRED, EventStatus.CANCELLED),
        key__isnull=True,
        next_due_at__isnull=True,
        created_at__lt=before,
        at__lt=before,
    )
    bursts = EventBurst.objects.using(rows.alias()).values_list("event_ids", flat=True)
    needed = {event_id for event_ids in bursts for event_id in event_ids}
    return [gone.filter(~has_run).exclude(pk__in=needed)]


def _delete_orphans(size: int) -> Iterator[None]:
    """Delete messages to runs that were deleted past the models, or while the message was on its way."""
    last = 0
    while True:
        # In the order of two indexes, which a database goes through side by side.
        gone = inbox.orphans().filter(run_id__gt=last).order_by("run_id").values_list("run_id", flat=True).distinct()
        run_ids = list(gone[:size])
        if not run_ids:
            return
        inbox.forget(run_ids)
        last = run_ids[-1]
        yield


def _delete_events(found: QuerySet[Event], size: int, done: Cleaned) -> Iterator[None]:
    last = 0
    while True:
        with rows.transaction_of_runs():
            locked = found.select_for_update(**rows.lock_options(skip_locked=True)).filter(pk__gt=last)
            ids = [event.pk for event in locked.only("pk").order_by("pk")[:size]]
            if not ids:
                return
            Event.objects.using(rows.alias()).filter(pk__in=ids).delete()
        done.events += len(ids)
        last = ids[-1]
        yield
