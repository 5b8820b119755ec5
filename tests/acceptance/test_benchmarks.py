"""Each workload of the benchmark runs once, with tiny numbers, for those that need nothing installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import servers
from benchmarks.contenders import CONTENDERS, OWN
from benchmarks.metrics import METRICS
from benchmarks.processes import Driver
from benchmarks.session import WORKLOADS, Session
from benchmarks.sizes import Sizes
from tests.servers import ServerNotFound
from tests.servers.plugin import WANT_OF

TINY = Sizes(
    name="tiny",
    repeats=1,
    warm_up=1,
    steps=2,
    orm=2,
    idle=1,
    signals=1,
    sleepers=2,
    naps=(0.01, 0.02),
    parents=1,
    children=2,
    crowd=3,
    starts=3,
    many=4,
    commit_seconds=0.01,
)
METERS = {"statements", "commits", "wal"}  # where PostgreSQL came with its extensions


@pytest.mark.parametrize("name", [OWN, "celery_orm", "limit"])
def test_every_workload_gives_its_figures(name: str, tmp_path: Path):
    contender = next(one for one in CONTENDERS if one.name == name)
    python = Path(sys.executable)
    try:
        with servers.running() as own:
            own.settings()
            own.create("tables")
            Driver.prepare(python, contender.module, {"DATABASE_URL": own.url("tables"), "REDIS_URL": own.broker.url})
            with own.copy("tables") as database:
                values = Session(contender, python, own, TINY, tmp_path, database).run(WORKLOADS)
    except ServerNotFound as error:
        pytest.skip(f"{WANT_OF}{'Redis' if 'edis' in str(error) else 'PostgreSQL'}")
    expected = {metric.name for metric in METRICS if metric.workload in contender.does}
    assert expected - METERS <= set(values) <= expected
    assert all(value > 0 for metric, value in values.items() if not metric.startswith("cpu"))
