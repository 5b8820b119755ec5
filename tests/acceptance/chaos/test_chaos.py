"""A short trial of each seed, and a thousand starts without a broker; `make chaos` runs a long trial."""

from __future__ import annotations

import os

import pytest

from tests.acceptance.chaos import ledger, report
from tests.acceptance.chaos.faults import BY_NAME
from tests.acceptance.chaos.judge import judge
from tests.acceptance.chaos.rig import Rig
from tests.acceptance.chaos.trial import Trial
from tests.acceptance.processes import wait_until
from tests.servers import ServerNotFound
from tests.servers.binaries import postgres_bin, redis_binary
from tests.servers.plugin import WANT_OF

SEEDS = ("1",)
SECONDS, RATE = 40, 3
STARTS = int(os.environ.get("STARTS", "1000"))
PATIENCE = 300


@pytest.fixture(autouse=True)
def servers():
    for name, find in (("PostgreSQL", postgres_bin), ("Redis", redis_binary)):
        try:
            find()
        except ServerNotFound:
            pytest.skip(f"{WANT_OF}{name}")


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_killed_nothing_is_lost_and_nothing_happens_twice(seed):
    told: list[str] = []
    trial = Trial(seed, SECONDS, RATE, say=told.append)
    books, verdict = trial.run()
    told.extend(report.lines(trial, books, verdict))
    assert verdict.faults == [], "\n".join(told)
    assert {deed.kind for deed in trial.deeds} == set(BY_NAME)
    assert len(verdict.counts) >= 12, verdict.counts


def test_a_thousand_starts_without_a_broker_succeed_at_once_and_complete_when_it_is_back():
    with Rig("no broker", workers=1, beats=1) as rig:
        load, promised = rig.customers(seconds=1, rate=STARTS, seed=0, only="in_a_hurry")
        rig.dead()
        wait_until(lambda: ledger.ticks(rig.postgres.url), PATIENCE, "the scheduler ticks")
        rig.redis.stop()
        load.rise()
        wait_until(lambda: load.process and load.process.poll() is not None, PATIENCE, "all are started")
        rig.redis.start()

        def all_ended() -> bool:
            rig.dead()
            return ledger.counts(rig.postgres.url) == {"completed": STARTS}

        wait_until(all_ended, PATIENCE, "all complete")
        books = ledger.read(rig.postgres.url, promised)
    assert judge(books).faults == []
    assert len(books.promises) == STARTS
    # Of each hundred one may have waited for the processor, where other programs occupy it.
    assert sorted(promise["seconds"] for promise in books.promises)[STARTS * 99 // 100 - 1] <= 1
