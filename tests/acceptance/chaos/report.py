"""What a trial came to, as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

from tests.acceptance.chaos.faults import BY_NAME
from tests.acceptance.chaos.judge import FAULTS, Verdict
from tests.acceptance.chaos.ledger import Books
from tests.acceptance.chaos.recovery import Recovery, recoveries
from tests.acceptance.chaos.rig import LEASE
from tests.acceptance.chaos.trial import Trial

KILLS = tuple(fault.name for fault in BY_NAME.values() if fault.kills)
# How long a run may stand still whose worker was killed.
LONGEST = LEASE + 2
SHOWN = 20


def too_slow(trial: Trial, books: Books) -> list[Recovery]:
    """Return the recoveries that took longer than they may."""
    killed = undisturbed(recoveries(books, trial.deeds, KILLS))
    return [recovery for recovery in killed if recovery.seconds > LONGEST]


def undisturbed(found: Sequence[Recovery]) -> list[Recovery]:
    return [recovery for recovery in found if not recovery.delayed_by]


def lines(trial: Trial, books: Books, verdict: Verdict) -> Iterator[str]:
    """Yield the summary."""
    deeds = Counter(deed.kind for deed in trial.deeds if deed.victim or not BY_NAME[deed.kind].kills)
    yield ""
    yield f"seed             {trial.seed}"
    yield f"workflows        {len(books.runs):,}: {_listed(verdict.counts)}"
    yield f"moves            {sum(map(len, books.moves.values())):,}"
    yield f"ledger rows      {sum(len(rows) for visits in books.visits.values() for rows in visits.values()):,}"
    yield f"kills            {sum(deeds[kind] for kind in KILLS)}"
    yield f"all faults       {_listed(deeds)}"
    yield f"ended by itself  {_listed(trial.died) or 'nobody'}, and was started again"
    yield from _starts(books)
    killed = recoveries(books, trial.deeds, KILLS)
    yield f"recovery         {_seconds(undisturbed(killed))} (a worker was killed; at most {LONGEST:g} s)"
    yield f"  with more       {_seconds([one for one in killed if one.delayed_by])} (and worse happened meanwhile)"
    yield f"  of the paused   {_seconds(recoveries(books, trial.deeds, ('pause_worker',)))}"
    for kind in FAULTS:
        yield f"{kind:16} {verdict.number(kind)}"
    yield from (f"  {kind}: {text}" for kind, text in verdict.faults[:SHOWN])
    slowest = sorted(recoveries(books, trial.deeds, (*KILLS, "pause_worker")), key=lambda one: -one.seconds)
    for recovery in slowest[:SHOWN]:
        if recovery.seconds > LONGEST:
            yield from _story(recovery, books)


def _starts(books: Books) -> Iterator[str]:
    seconds = [promise["seconds"] for promise in books.promises if "seconds" in promise]
    if seconds:
        yield f"starts           {len(seconds):,}, median {median(seconds):.3f} s, worst {max(seconds):.2f} s"


def _seconds(found: Sequence[Recovery]) -> str:
    seconds = sorted(recovery.seconds for recovery in found)
    if not seconds:
        return "no run"
    return f"{len(seconds)} runs, median {median(seconds):.1f} s, worst {seconds[-1]:.1f} s"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in sorted(counts.items()))


def _story(recovery: Recovery, books: Books) -> Iterator[str]:
    """Tell what happened to a run that was taken up too late, in seconds from the death of its worker."""
    deed = recovery.deed
    meanwhile = ", ".join(recovery.delayed_by) or "nothing"
    yield f"run #{recovery.run} after {deed.kind} of {deed.victim} at {deed.began:%H:%M:%S}; meanwhile {meanwhile}"
    for move in books.moves[recovery.run]:
        seconds = (move.at - deed.began).total_seconds()
        if -LONGEST < seconds <= recovery.seconds:
            leased = " leased" if move.leased else ""
            yield f"{seconds:8.2f}  {move.status} {move.sequence}/{move.attempt}{leased} by {move.who}"
