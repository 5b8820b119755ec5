"""Workers that are told to stop give their runs back at once, and nothing is lost."""

from __future__ import annotations

import json
import signal

import psutil
import pytest

from tests.acceptance.conftest import ENGINE
from tests.acceptance.processes import PATIENCE, Worker, manage, wait_until
from tests.acceptance.scenes import Story, visits

# Far longer than a test: who waits for a lease or a budget to run out has failed.
LONG = 3600
STAYING = {**ENGINE, "LEASE_SECONDS": LONG, "STEPS_PER_TASK": 10**9, "SECONDS_PER_TASK": LONG}
LAPS = "SELECT (data ->> 'laps')::int FROM django_ai_workflows_workflowrun WHERE name = 'marathon'"
CLAIM = "SELECT lease_until IS NULL OR lease_until < now(), attempt FROM django_ai_workflows_workflowrun WHERE id = %s"


class PoolWorker(Worker):
    """A worker with the pool of one's choice."""

    pool = "prefork"

    def command(self) -> list[str]:
        command = super().command()
        command[command.index("--pool") + 1] = self.pool
        return command


def worker(installation, pool="prefork", **more):
    made = PoolWorker({**installation.env, "SHOP_DJANGO_AI": json.dumps(STAYING), **more})
    made.pool = pool
    return made


def tell(installation, code):
    manage("shell", "-c", f"from django_ai.automation.workflows.core import engine; {code}", env=installation.env)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_task_that_stays_with_its_run_lets_go_when_its_worker_shall_stop(installation, pool):
    laps = lambda: installation.books.rows(LAPS)[-1][0]  # noqa: E731
    tell(installation, "engine.start('marathon')")
    run_id = installation.books.value("SELECT max(id) FROM django_ai_workflows_workflowrun")
    try:
        with worker(installation, pool) as first:
            wait_until(lambda: laps() > 20, PATIENCE, "The run goes round")
            # Only that the task lets go: Celery's own end, which waits for all that it had fetched, is not awaited.
            first.process.send_signal(signal.SIGTERM)
            wait_until(lambda: installation.books.rows(CLAIM, run_id) == [(True, 0)], PATIENCE, "The run is given back")
            before = laps()
            first.kill()
        with worker(installation, pool) as second:
            wait_until(lambda: laps() > before + 20, PATIENCE, "The other worker goes on")
            second.kill()
    finally:
        tell(installation, f"engine.cancel({run_id})")


@pytest.mark.parametrize("how", [signal.SIGQUIT, "SIGTERM for the children"])
def test_a_step_that_is_broken_off_is_given_back_and_the_attempt_does_not_count(installation, how):
    books = installation.books
    reference = f"broken off by {how!s}"
    with worker(installation, SHOP_GATEWAY_SECONDS=str(LONG)) as first:
        data = {"reference": reference, "amount": "1.00", "card": "tok_good"}
        _, answer = installation.web.ask("/payments/", data)
        requests = "SELECT requests FROM payment_gatewaycharge WHERE key = %s"
        wait_until(lambda: books.rows(requests, reference) == [(1,)], PATIENCE, "The step runs")
        if isinstance(how, signal.Signals):
            first.process.send_signal(how)
        else:
            for child in psutil.Process(first.process.pid).children():
                child.terminate()
        wait_until(lambda: books.rows(CLAIM, answer["run"]) == [(True, 0)], PATIENCE, "The claim is given back")
        first.kill()
    with worker(installation):
        wait_until(books.all_ended, PATIENCE, "The other worker ends it")
    assert books.stories()[answer["run"]] == Story("payment", visits("charge", "book"))


def test_what_a_worker_had_fetched_when_it_stopped_is_done_by_the_next(installation):
    books = installation.books
    with worker(installation) as first:
        tell(
            installation,
            "[engine.start('payment', reference=f'many {n}', amount='1.00', card='tok_good') for n in range(300)]",
        )
        first.stop(signal.SIGTERM)
    assert not books.rows("SELECT id FROM django_ai_workflows_workflowrun WHERE lease_until > now()")
    with worker(installation):
        wait_until(books.all_ended, PATIENCE, "The next worker does the rest")
    done = "SELECT count(*) FROM payment_payment WHERE reference LIKE 'many %%'"
    assert books.value(done) == 300


@pytest.mark.parametrize(
    ("pool", "said"), [("prefork", "It was broken off."), ("threads", "It could not be broken off.")]
)
def test_a_step_that_blocks_for_longer_than_its_timeout_fails(installation, pool, said):
    books = installation.books
    with worker(installation, pool) as only:
        tell(installation, "engine.start('stuck')")
        wait_until(books.all_ended, PATIENCE, "The run ends")
        only.kill()
    error = "SELECT error FROM django_ai_workflows_workflowrun WHERE name = 'stuck' ORDER BY id DESC"
    assert said in books.value(error)
