"""Between rows and the machine: which database, how a run is locked, and a row as a RunState."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from time import monotonic, sleep
from typing import Any, NamedTuple, TypeVar

from django.db import InterfaceError, OperationalError, connections, router
from pydantic import BaseModel

from ... import clock
from ...conf import settings
from ..authoring import sources
from ..authoring.registry import registry
from ..exceptions import ContextInvalid, kept
from ..machine import context as contexts
from ..machine import state
from ..machine.commands import WaitKind
from ..machine.definition import WorkflowDefinition
from ..machine.payloads import Accepts
from ..machine.statuses import SUSPENDED, WorkflowStatus
from ..models import Signal, Suspension, WorkflowRun
from . import connection as connecting

Value = TypeVar("Value")

# The most tries of a transaction that the database undoes by a deadlock or a lost connection.
MOST_TRIES = 5
DEADLOCKS = {1213, "40P01"}  # as MariaDB and PostgreSQL say it

# How long, and how often, a worker tries to write a step's result while the database cannot be reached.
PATIENCE_SECONDS = 10.0
ASK_EVERY_SECONDS = 0.5


# Columns of a run that may be large. Queries for many runs, and those that poll, leave them out.
LARGE = ("data", "inputs", "failures", "error")


class Move(NamedTuple):
    """What is to be committed: a transition, and the message of the run's inbox that made it, if one did."""

    transition: state.Transition
    message: Signal | None = None


def alias() -> str:
    """Return the database that holds the runs."""
    return router.db_for_write(WorkflowRun)


def transaction_of_runs(*, savepoint: bool = True) -> AbstractContextManager[None]:
    """Open a transaction in the runs' database; inside one a savepoint, or nothing without ``savepoint``."""
    return connecting.Transaction(alias(), savepoint=savepoint)


def savepoint() -> AbstractContextManager[None]:
    """Open a savepoint in the caller's transaction if there is one, so that what fails leaves that as it was."""
    return transaction_of_runs() if connections[alias()].in_atomic_block else nullcontext()


def leave_broken_connection() -> None:
    """Close the connection if it is gone, or in the middle of a statement: the next query opens another."""
    connection = connections[alias()]
    if connection.in_atomic_block:
        return
    if is_busy(connection):
        connection.close()
    else:
        connection.close_if_unusable_or_obsolete()


def is_busy(connection: Any) -> bool:
    """Say whether whoever sent the last statement was broken off before its answer came, as far as that can be told."""
    status = getattr(getattr(connection.connection, "info", None), "transaction_status", None)
    return getattr(status, "name", "") == "ACTIVE"


def despite_deadlocks(function: Callable[[], Value], *, patience: float = 0.0) -> Value:
    """Run the transaction ``function``; run it again if the database undid it by a deadlock or a lost connection.

    MariaDB also locks the gaps between rows, so two transactions that lock one run each may deadlock there.
    Inside a transaction of the caller nothing is repeated: that is left to the caller.

    Args:
        patience: for how many seconds to go on trying while the database cannot be reached.

    Raises:
        CommitUnknown: the connection was lost during the commit, and no witness can tell whether it was done.
    """
    refresh()
    tries, until = 1, monotonic() + patience
    while True:
        try:
            return function()
        except (OperationalError, InterfaceError) as error:
            if not was_undone(error) or (tries >= MOST_TRIES and monotonic() >= until):
                raise
            if tries >= MOST_TRIES:
                sleep(ASK_EVERY_SECONDS)
            tries += 1


def refresh() -> None:
    """Replace the connection where the server has closed it, unless a transaction is under way."""
    connection = connections[alias()]
    if not connection.in_atomic_block:
        connecting.refresh(connection)


def set_witness(witness: Callable[[], bool]) -> None:
    """Set the function that tells the current transaction of runs whether it was committed, if the answer is lost."""
    connecting.set_witness(connections[alias()], witness)


def was_undone(error: BaseException) -> bool:
    """Return whether a failed transaction may be repeated here: a deadlock or a lost connection undid it.

    Closes a connection that is lost.
    """
    connection = connections[alias()]
    if connection.in_atomic_block:
        return False
    if connecting.is_lost(error):
        connecting.replace(connection)
        return True
    return isinstance(error, OperationalError) and was_deadlock(error)


def was_deadlock(error: OperationalError) -> bool:
    """Say whether a transaction was the victim of a deadlock and may be tried again here, being nobody else's."""
    names = connecting.SQLSTATES
    said = {error.args[0] if error.args else None, *(getattr(error.__cause__, name, None) for name in names)}
    return not (said.isdisjoint(DEADLOCKS) or connections[alias()].in_atomic_block)


def lock(run_id: int) -> tuple[WorkflowRun, clock.Stopwatch] | None:
    """Lock one run until the transaction ends and return it with the database's time.

    None where there is no such run. Databases without row locks rely on the fence of the commit.
    """
    runs = WorkflowRun.objects.using(alias()).annotate(db_now=clock.now())
    run = runs.select_for_update(**lock_options()).filter(pk=run_id).first()
    if run is None:
        return None
    if run.status == SUSPENDED:
        # Read here, for a project's router may send reads to a replica, which is behind.
        run._state.fields_cache["suspension"] = Suspension.objects.using(alias()).filter(pk=run_id).first()
    return run, stopwatch(run)


def lock_existing(run_id: int) -> tuple[WorkflowRun, clock.Stopwatch]:
    """Lock a run that must exist. Raises WorkflowRun.DoesNotExist."""
    locked = lock(run_id)
    if locked is None:
        raise missing(run_id)
    return locked


def missing(run_id: int) -> WorkflowRun.DoesNotExist:
    """Return the error that says there is no such run."""
    return WorkflowRun.DoesNotExist(f"There is no workflow run #{run_id}.")


def lock_options(*, skip_locked: bool = False) -> dict[str, Any]:
    """Return the options of select_for_update that this database knows."""
    features = connections[alias()].features
    options: dict[str, Any] = {}
    if skip_locked and features.has_select_for_update_skip_locked:
        options["skip_locked"] = True
    if features.has_select_for_no_key_update:
        # Rows that refer to a run may be inserted while it is locked: no sender waits for it.
        options["no_key"] = True
    if features.has_select_for_update_of:
        options["of"] = ("self",)
    return options


def lease() -> timedelta:
    """Return for how long a claim holds without a heartbeat."""
    return timedelta(seconds=settings.LEASE_SECONDS)


def stopwatch(run: Any) -> clock.Stopwatch:
    """Return a clock that starts at the database's time with which ``run`` was read."""
    return clock.Stopwatch(run.db_now)


def definition_of(run: WorkflowRun) -> WorkflowDefinition | None:
    """Return the definition that the run follows, or None where the code no longer has it."""
    return registry.get(run.name, run.version)


def snapshot(
    run: WorkflowRun, definition: WorkflowDefinition | None, *, context: BaseModel | None = None
) -> state.RunState:
    """Return the run as the machine sees it, with this ``context`` where a step has left one behind."""
    suspension = run.waits_for
    if context is None and definition is not None:
        context = context_of(run, definition)
    return state.RunState(
        status=WorkflowStatus(run.status),
        step=_present_name(definition, run.current_step) or "",
        sequence=run.sequence,
        attempt=run.attempt,
        progress=run.progress,
        context=context,
        inputs=run.inputs,
        failures=failures_of(run),
        suspension=suspension_of(run, suspension, definition) if suspension else None,
    )


def failures_of(run: WorkflowRun) -> tuple[state.Failure, ...]:
    """Return the failed attempts of the run's visit."""
    return tuple(_failure(data) for data in run.failures)


def failure_data(failure: state.Failure) -> dict[str, Any]:
    """Return a failed attempt as JSON-ready data."""
    data: dict[str, Any] = {
        "attempt": failure.attempt,
        "error": kept(failure.error),
        "traceback": kept(failure.traceback),
        "at": failure.at.isoformat(),
    }
    if failure.attempts > 1:
        data["attempts"] = failure.attempts
    return data if failure.counts else {**data, "counts": False}


def numbers_of(failure: Mapping[str, Any]) -> str:
    """Return the number of a failed attempt, or the numbers of several that are kept as one, as text."""
    last, attempts = failure["attempt"], failure.get("attempts", 1)
    return str(last) if attempts == 1 else f"{last - attempts + 1}–{last}"  # noqa: RUF001 - a range


def _failure(data: dict[str, Any]) -> state.Failure:
    return state.Failure(
        attempt=data["attempt"],
        error=data["error"],
        traceback=data["traceback"],
        at=datetime.fromisoformat(data["at"]),
        counts=data.get("counts", True),
        attempts=data.get("attempts", 1),
    )


def _present_name(definition: WorkflowDefinition | None, name: str | None) -> str | None:
    """Return the name that the code has now for a step which a row names, perhaps by an old one."""
    step = definition.find(name) if definition and name else None
    return step.name if step else name


def context_of(run: WorkflowRun, definition: WorkflowDefinition) -> BaseModel:
    """Return the context that a run carries; ``Unfitting`` where it no longer fits."""
    try:
        return contexts.load(definition.context_class, run.data)
    except ContextInvalid:
        return contexts.Unfitting.of(definition.context_class, run.data)


def accepts_of(run: WorkflowRun, wait: Suspension, definition: WorkflowDefinition | None) -> Accepts | None:
    """Return which signals a wait accepts: as its step declares now, else as it was when the wait began."""
    step = definition.find(run.current_step) if definition and wait.kind == WaitKind.SIGNAL else None
    entry = step.entry if step and wait.resumes_body else None
    if entry is not None and (entry.kind, entry.name) == (wait.kind, wait.name):
        return entry.accepts
    # A worker with older code may have put its wait into the place of one that had this column.
    if not wait.accepts or wait.accepts.get("sequence") != run.sequence:
        return None
    near = [*vars(definition.cls).values(), *sources.closure(step.function).values()] if definition and step else []
    return Accepts.restored(wait.accepts, near)


def suspension_of(run: WorkflowRun, row: Suspension, definition: WorkflowDefinition | None) -> state.Suspension:
    """Return a wait as the machine sees it."""
    return state.Suspension(
        kind=WaitKind(row.kind),
        name=row.name,
        correlation=row.correlation,
        due_at=row.due_at,
        since=row.since,
        then=_present_name(definition, row.then),
        on_timeout=_present_name(definition, row.on_timeout),
        resumes_body=row.resumes_body,
        created_at=row.created_at,
        accepts=accepts_of(run, row, definition),
        display=row.display,
    )
