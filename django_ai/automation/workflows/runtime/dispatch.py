"""The only place that sends a run's messages: a step, a timer, a delivery."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from celery import current_app

from ...broker import Message, publish, send_after_commit
from ...conf import settings
from ...taking import EXPIRES_SECONDS
from ..authoring.registry import registry
from ..models import WorkflowRun
from . import rows

TICK = "django_ai.workflows.tick"
EXECUTE = "django_ai.workflows.execute"
WAKE = "django_ai.workflows.wake"
DELIVER = "django_ai.workflows.deliver"
PULSE = "django_ai.workflows.pulse"

# One message with the arguments of several of the above.
SEVERAL = "django_ai.workflows.several"

# How many go together. A message costs its sender and a worker more than a quick step does, but who gets it
# does them one after the other: a burst is shared among this many messages before they grow, up to the most.
MESSAGES, TOGETHER, MOST_TOGETHER = 20, 10, 50

Arguments = tuple[Any, ...]


def step(run: WorkflowRun) -> None:
    """Ask for a worker for the run's current step."""
    steps([run])


def steps(runs: Iterable[WorkflowRun]) -> None:
    """Ask for workers for the current steps of runs."""
    _send(EXECUTE, [(queue_of(run), (run.pk, run.sequence, run.attempt)) for run in runs])


def timer(run: WorkflowRun, delay: timedelta) -> None:
    """Ask to be woken, if that is soon; a later timer is the scheduler's alone."""
    seconds = max(delay.total_seconds(), 0)
    if seconds <= settings.NEAR_TIMER_SECONDS:
        _after_commit(WAKE, (run.pk, run.sequence), queue_of(run), countdown=seconds)


def timers_due(runs: Iterable[WorkflowRun]) -> None:
    """Ask workers to end the waits of runs, whose time has come."""
    _send(WAKE, [(queue_of(run), (run.pk, run.sequence)) for run in runs])


def delivery(run_id: int) -> None:
    """Ask a worker to hand the run what lies in its inbox."""
    deliveries([run_id])


def deliveries(run_ids: Iterable[int]) -> None:
    """Ask workers to hand each run, once, what lies in its inbox."""
    _send(DELIVER, [(settings.QUEUE, (run_id,)) for run_id in run_ids])


def again(task: str, queue: str | None, arguments: Sequence[Arguments], *, one_by_one: bool = False) -> None:
    """Ask for what a worker has not come to, by few messages or one by one."""
    if not one_by_one:
        _send(task, [(queue, each) for each in arguments])
        return
    for each in arguments:
        _after_commit(task, each, queue)


def tick() -> None:
    """Ask for a pass of the scheduler, at once; beat asks for the others."""
    publish(TICK, queue=settings.QUEUE, expires=EXPIRES_SECONDS)


def question(queue: str, moment: datetime, expires: float) -> None:
    """Ask the workers of a queue for a sign of life; a question nobody took in ``expires`` seconds is dropped."""
    _after_commit(PULSE, (queue, moment.isoformat()), queue, expires=expires)


def queues() -> list[str]:
    """Return the names of all queues that carry messages of runs."""
    named = {settings.QUEUE, *(definition.queue for definition in registry)}
    named |= {step.queue for definition in registry for step in definition.steps.values()}
    return sorted({name or default_queue() for name in named})


def default_queue() -> str:
    """Return the name of the queue of those messages that name none."""
    return settings.QUEUE or str(current_app.conf.task_default_queue)


def queue_of(run: WorkflowRun) -> str | None:
    """Return the queue of the run's current step: its own, the workflow's, the project's."""
    return queue_at(run.name, run.version, run.current_step)


def queue_at(workflow: str, version: str, step: str) -> str | None:
    """Return the queue of a step: its own, the workflow's, the project's."""
    definition = registry.get(workflow, version)
    if definition is None:
        return settings.QUEUE
    at = definition.find(step)
    return (at and at.queue) or definition.queue or settings.QUEUE


def _send(task: str, messages: Iterable[tuple[str | None, Arguments]]) -> None:
    for message in fewer([Message(task, arguments, {"queue": queue}) for queue, arguments in messages]):
        _after_commit(message.task, message.args, message.options["queue"])


def _together(task: str, queue: str | None, each: Sequence[Arguments]) -> Iterator[Message]:
    """Yield messages for these arguments of a task: one for a few of them, and of many enough for many workers."""
    shared = min(max(TOGETHER, ceil(len(each) / MESSAGES)), MOST_TOGETHER)
    size = max(min(shared, settings.STEPS_PER_TASK), 1)
    for start in range(0, len(each), size):
        chunk = list(each[start : start + size])
        one = len(chunk) == 1
        yield Message(task if one else SEVERAL, chunk[0] if one else (task, queue, chunk), {"queue": queue})


def fewer(messages: list[Message]) -> list[Message]:
    """Return fewer messages for the same: those of a kind together where they may be, and none twice."""
    made: list[Message] = []
    alike: dict[tuple[str, str | None], list[Arguments]] = defaultdict(list)
    for message in messages:
        if message.task == SEVERAL or message.options.keys() != {"queue"}:
            made.append(message)
        else:
            alike[message.task, message.options["queue"]].append(message.args)
    for (task, queue), each in alike.items():
        made.extend(_together(task, queue, list(dict.fromkeys(each))))
    return made


def _after_commit(task: str, args: Arguments, queue: str | None, **options: Any) -> None:
    send_after_commit(task, args, using=rows.alias(), together=fewer, queue=queue, **options)
