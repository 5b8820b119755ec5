"""What a step leaves behind that is broken off, and tasks of a worker that shall stop."""

import signal

import pytest
from celery.exceptions import WorkerShutdown

from django_ai.automation.workflows import receivers
from django_ai.automation.workflows.core import Retry, complete, engine, goto, step, workflow
from django_ai.automation.workflows.runtime import dispatch, lanes, scheduler, stopping, worker

from .declared import reloaded

pytestmark = pytest.mark.django_db

BY_POOL = SystemExit(-(256 - signal.SIGTERM))


@pytest.fixture
def told():
    receivers.stop()
    yield
    receivers.start()


def declare(body, **options):
    @workflow("broken_off")
    class BrokenOff:
        @step(start=True, **options)
        def begin(self):
            body()
            return goto(self.end)

        @step()
        def end(self):
            return complete()


def breaking(*errors):
    """Return a body that raises these, one after the other, and then nothing."""
    left = list(errors)

    def body():
        if left:
            raise left.pop(0)

    return body


def broken_off(run, error):
    run = reloaded(run)
    with pytest.raises(type(error)):
        worker.execute(run.pk, run.sequence, run.attempt)


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (BY_POOL, 0),
        (WorkerShutdown(0), 1),
        (BaseExceptionGroup("tasks", [BY_POOL]), 1),
        (KeyboardInterrupt(), 1),
    ],
)
def test_a_step_that_is_broken_off_is_sent_again_at_the_next_tick(workflows, ctrl_c, error, counted, atomic):
    left = [ctrl_c if isinstance(error, KeyboardInterrupt) else breaking(error)]
    declare(lambda: left and left.pop()(), atomic=atomic)
    run = engine.start("broken_off")
    broken_off(run, error)
    assert reloaded(run).attempt == counted
    assert scheduler.resend_steps() == 1
    workflows.drain()
    assert reloaded(run).status == "completed"
    assert run.step_executions.get(step_name="begin").attempts == counted + 1


def test_a_step_that_is_broken_off_each_time_is_parked(workflows, ctrl_c):
    declare(ctrl_c, retry=Retry(max_attempts=2))
    run = engine.start("broken_off")
    for _ in range(2):
        broken_off(run, KeyboardInterrupt())
        scheduler.resend_steps()
    workflows.drain()
    assert (reloaded(run).status, run.step_executions.get().attempts) == ("failed", 2)
    assert "in 2 of 2 attempts its worker gave no sign of life" in reloaded(run).error


def test_deploys_that_break_a_step_off_again_and_again_do_not_use_up_its_attempts(workflows):
    declare(breaking(*[BY_POOL] * 5), retry=Retry(max_attempts=1))
    run = engine.start("broken_off")
    for _ in range(5):
        broken_off(run, BY_POOL)
    workflows.drain()
    assert reloaded(run).status == "completed"


def test_a_claim_that_somebody_else_has_by_now_is_not_given_back(workflows):
    def overtaken():
        type(run).objects.filter(pk=run.pk).update(attempt=2)
        raise BY_POOL

    declare(overtaken, atomic=False)
    run = engine.start("broken_off")
    broken_off(run, BY_POOL)
    assert reloaded(run).attempt == 2
    assert scheduler.resend_steps() == 0


def test_a_claim_is_given_back_once_also_where_it_might_stand_at_two_fences(workflows):
    declare(breaking())
    run = engine.start("broken_off")
    lanes.take(run.pk, 1, 0)
    claim = lanes.take(run.pk, 1, 1) or reloaded(run)
    type(run).objects.filter(pk=run.pk).update(attempt=3)
    stopping.give_back(claim, {(1, 3), (1, 2), (1, 1)}, BY_POOL)
    stood = reloaded(run)
    assert stood.attempt == 2
    assert stood.lease_until < stood.updated_at


@pytest.mark.django_db(transaction=True)
def test_a_task_stays_with_its_run_only_while_its_worker_shall_not_stop(sent, told):
    declare(breaking())
    run = engine.start("broken_off")
    worker.execute(run.pk, run.sequence, run.attempt)
    let_go = reloaded(run)
    assert (let_go.status, let_go.current_step, let_go.lease_until) == ("running", "end", None)
    assert sent[-1] == (dispatch.EXECUTE, (run.pk, *_fence(run)))
    receivers.start()
    assert not stopping.announced()
    worker.execute(run.pk, *_fence(run))
    assert reloaded(run).status == "completed"


def _fence(run):
    run = reloaded(run)
    return run.sequence, run.attempt


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_ready_looks_around_at_once(sent):
    receivers.look_around()
    assert sent == [(dispatch.TICK, ())]
