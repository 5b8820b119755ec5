"""How much of each workload a run of the benchmark does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Numbers of runs and samples, for each repeat and contender."""

    name: str
    repeats: int
    warm_up: int  # runs of ten steps before anything counts
    steps: int  # runs of ten steps
    orm: int  # runs of ten steps that write
    idle: int
    signals: int
    sleepers: int
    naps: tuple[float, float]  # seconds
    parents: int
    children: int  # of each parent
    crowd: int
    starts: int
    many: int  # started by one call
    commit_seconds: float


FULL = Sizes(
    name="full",
    repeats=5,
    warm_up=20,
    steps=300,
    orm=200,
    idle=40,
    signals=40,
    sleepers=40,
    naps=(0.5, 2.0),
    parents=30,
    children=5,
    crowd=2000,
    starts=1000,
    many=5000,
    commit_seconds=2.0,
)
QUICK = Sizes(
    name="quick",
    repeats=2,
    warm_up=10,
    steps=60,
    orm=40,
    idle=10,
    signals=10,
    sleepers=10,
    naps=(0.5, 2.0),
    parents=10,
    children=3,
    crowd=200,
    starts=200,
    many=1000,
    commit_seconds=0.5,
)
