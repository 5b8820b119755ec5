"""The engine's public face: start, signal, cancel and retry runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Never

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model
from pydantic_core import to_jsonable_python

from ...signatures import strict
from ..exceptions import InvalidOption, SignalRejected
from ..machine.decide import decide
from ..machine.happenings import Cancelled, Happening
from ..models import WorkflowRun
from ..stored_rows import key_of
from . import by_hand, commit, rows, vendors
from .signalling import Sending, check_name
from .starting import LONGEST_KEY, Starter, check_text

RunReference = WorkflowRun | int


class Engine:
    """What code outside of workflows does to them. Safe inside and outside of transactions.

    Called inside a transaction, everything takes effect when that commits, and nothing if it rolls
    back.
    """

    def start(self, workflow: str | type, /, *misplaced: Never, **context: Any) -> WorkflowRun:
        """Start a run and return it; its steps run on the workers.

        Args:
            workflow: the workflow's class or name.
            context: the arguments of the class's ``create_context``, else the fields of its Context.

        Raises:
            UnknownWorkflow: no such workflow is registered.
            NoStartStep: the workflow declares no start step.
            ContextInvalid: the arguments do not fit, or are given without their names.
        """
        return self.using().start(workflow, *misplaced, **context)

    @strict("engine.start_many()", InvalidOption)
    def start_many(self, workflow: str | type, contexts: Iterable[Mapping[str, Any]], /) -> list[WorkflowRun]:
        """Start a run for each of the contexts, all of them or none, in a few statements; return the runs.

        Args:
            workflow: the workflow's class or name.
            contexts: for each run what ``start`` takes as arguments, as a dict.

        Raises:
            UnknownWorkflow, NoStartStep: as for ``start``.
            ContextInvalid: some arguments do not fit; it says which, and nothing was started.
        """
        return self.using().start_many(workflow, contexts)

    @strict("engine.using()", InvalidOption)
    def using(
        self,
        *,
        owner: Any = None,
        idempotency_key: str | None = None,
        tags: Iterable[str] = (),
        version: str | None = None,
    ) -> Starter:
        """Return what starts runs with options beside their context: ``engine.using(owner=user).start(…)``.

        Args:
            owner: the user, or the user's primary key, whose run it is; children of the run inherit it.
            idempotency_key: 1 to 200 characters. Of all starts of one workflow with one key, however
                many at once, the first makes the run; the others return it as it is, ended or not,
                and their arguments are ignored.
            tags: texts of 1 to 50 characters by which the run can be found; ``run.tags`` has them.
            version: start this version of the workflow, which must be registered; by default a name
                starts the newest, and a class starts itself.

        Raises:
            InvalidOption: a key or a tag is no such text.
        """
        return Starter.of(owner=owner, idempotency_key=idempotency_key, tags=tags, version=version)

    @strict("engine.signal()", InvalidOption)
    def signal(
        self,
        name: str,
        payload: Mapping[str, Any] | None = None,
        *,
        run: RunReference | None = None,
        correlate: object | None = None,
        key: str | None = None,
        only_if_waiting: bool = False,
    ) -> int:
        """Send a signal; its payload merges into the contexts of the runs that take it.

        Args:
            name: the name that the runs wait for.
            payload: fields for the context. Where a wait names the fields that it takes, exactly those;
                otherwise fields that a Context does not declare are ignored.
            run: send it to this run alone, where it is kept until the run waits for it. Without,
                it reaches all runs that wait for it at this moment.
            correlate: reach only the runs that wait with this correlation key; not together with ``run``.
            key: an idempotency key of 1 to 200 characters. Of all signals with one key, also those
                sent at once or with other names, a run gets the first.
            only_if_waiting: hand it to ``run`` only if that waits for it at this moment; keep nothing.

        Returns:
            How many runs it was handed to; a run that has had the key is not counted.

        Raises:
            SignalRejected: the payload does not fit some run's wait or Context; that run stays as it
                was, the others get the signal (unless the surrounding transaction is rolled back).
            UnknownSignal: the workflow of ``run`` never waits for this name, or it is the name of an event.
            IllegalMove: ``run`` has ended.
            InvalidOption: the name or the key is no such text, or ``correlate`` stands beside ``run``.
        """
        if key is not None:
            check_text("key", key, LONGEST_KEY)
        if run is not None and correlate is not None:
            raise InvalidOption("run= and correlate= exclude one another: a run that is named needs no key.")
        rows.refresh()
        sending = Sending(check_name(name), _jsonable(payload or {}), key=key, only_if_waiting=only_if_waiting)
        return sending.to_all(correlate) if run is None else sending.to_run(_load(run))

    @strict("engine.cancel()", InvalidOption)
    def cancel(self, run: RunReference, reason: str = "") -> WorkflowRun:
        """End a run that has not ended, and its children; return it as it is now.

        A step that is running at this moment is not interrupted, but its result is discarded.

        Raises:
            IllegalMove: the run has ended already.
        """
        return _move(run, Cancelled(reason))

    @strict("engine.retry()", InvalidOption)
    def retry(self, run: RunReference, *, force: bool = False) -> WorkflowRun:
        """Run the failed step of a failed run again, with all its attempts; return the run.

        A retry repeats what crashed, not what the workflow decided.

        Args:
            force: repeat also a run that ended by ``fail()``, and a child whose parent no longer waits for it.

        Raises:
            IllegalMove: the run has not failed, or may be repeated by force alone.
        """
        return rows.despite_deadlocks(lambda: by_hand.retry(_id(run), force=force))

    @strict("engine.wake()", InvalidOption)
    def wake(self, run: RunReference) -> WorkflowRun:
        """End a run's sleep, or the pause before a retry, at once; return the run.

        Raises:
            IllegalMove: the run does not sleep.
        """
        return rows.despite_deadlocks(lambda: by_hand.wake(_id(run)))

    def edit(self, run: RunReference, /, **fields: Any) -> WorkflowRun:
        """Replace fields of the context of a run that waits or has failed; return the run, which does not move.

        Args:
            fields: fields of the Context; others are ignored. History shows what was changed.

        Raises:
            IllegalMove: a worker has the run or wants it, or it has ended otherwise.
            ContextInvalid: the fields do not fit; nothing was changed.
        """
        data = _jsonable(fields)
        return rows.despite_deadlocks(lambda: by_hand.edit(_id(run), data))

    @strict("engine.restart()", InvalidOption)
    def restart(self, run: RunReference, sequence: int) -> WorkflowRun:
        """Start a new run at a step that this one has visited, with the context as it was there; return it.

        Args:
            sequence: the visit, by the ``sequence`` of its row in ``run.step_executions``.

        The earlier run stays as it is; ``restart_of`` of the new one leads to it. Owner and tags are the
        same, a parent is not told. What an entry wait of the step waits for has to come again.

        Raises:
            IllegalMove: the run was at no step then.
            ContextInvalid: the context of then does not fit, or was too large for history to keep.
        """
        return rows.despite_deadlocks(lambda: by_hand.restart(_id(run), sequence))


def _id(run: RunReference) -> int:
    return run.pk if isinstance(run, WorkflowRun) else run


def _load(run: RunReference) -> WorkflowRun:
    loaded = vendors.way().read(_id(run))
    if loaded is None:
        raise rows.missing(_id(run))
    return loaded


def _jsonable(payload: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(payload, Mapping):
        raise SignalRejected(f"A signal's payload is a dict of fields, not a {type(payload).__name__}.")
    try:
        data: dict[str, Any] = to_jsonable_python(dict(payload), fallback=_encode)
    except (TypeError, ValueError, RecursionError) as error:
        raise SignalRejected(f"The signal's payload cannot be stored as JSON: {error}") from error
    return data


def _encode(value: Any) -> Any:
    return key_of(value) if isinstance(value, Model) else DjangoJSONEncoder().default(value)


def _move(reference: RunReference, happening: Happening) -> WorkflowRun:
    return rows.despite_deadlocks(lambda: _move_once(reference, happening))


def _move_once(reference: RunReference, happening: Happening) -> WorkflowRun:
    with rows.transaction_of_runs():
        run, watch = rows.lock_existing(_id(reference))
        definition = rows.definition_of(run)
        transition = decide(definition, rows.snapshot(run, definition), happening, watch.now())
        commit.commit(run, transition, watch.now())
    return run


engine = Engine()
