"""Of two that race for one run exactly one wins: RACES pairs in all, 350 unless the environment says more."""

import os
import random
import sys
from collections import Counter

import pytest

from django_ai.automation import broker
from django_ai.automation.workflows.models import Signal, StepExecution, WorkflowRun

from .pairs import PAIRS
from .track import Track, prepare

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.postgres,
    pytest.mark.timeout(3600),
]

RACES = int(os.environ.get("RACES", "350"))
# Runs are made ready in batches, so that the first are not old when the last are raced for.
BATCH = 100


@pytest.fixture(autouse=True)
def no_broker(monkeypatch):
    monkeypatch.setattr(broker, "publisher", lambda *args, **options: None)


def batches(count):
    return [min(BATCH, count - start) for start in range(0, count, BATCH)]


@pytest.mark.parametrize("name", PAIRS)
def test_of_each_pair_exactly_one_wins(name, capsys):
    pair, count = PAIRS[name], max(RACES // len(PAIRS), 1)
    chance, outcomes = random.Random(name), Counter()
    for size in batches(count):
        track = Track(pair, prepare(pair, size), chance)
        track.race()
        assert track.errors == []
        outcomes += track.outcomes()
    assert set(outcomes) <= set(pair.outcomes)
    assert outcomes.total() == count
    if count >= 50:  # or it was no race
        assert set(outcomes) == set(pair.outcomes)
    nothing_came_twice()
    if "RACES" in os.environ:
        with capsys.disabled():
            tell(name, outcomes)


def nothing_came_twice():
    delivered = Counter(Signal.objects.filter(state="delivered").values_list("run_id", flat=True))
    assert set(delivered.values()) <= {1}
    moved_by_it = WorkflowRun.objects.filter(data__winners__0__in=["signal", "one", "other"])
    assert moved_by_it.count() == len(delivered)
    visits = StepExecution.objects.values_list("run_id", "step_name")
    assert len(set(visits)) == len(visits)


def tell(name, outcomes):
    """Write a line past pytest's capture, when somebody asked for many races."""
    shares = ", ".join(f"{'+'.join(who) or status} {number:,}" for (status, who), number in sorted(outcomes.items()))
    sys.stdout.write(f"\n{name}: {outcomes.total():,} pairs, one winner in each: {shares}\n")
