"""The verdict: was a run lost or stuck, a move made twice, a row of the ledger missing or doubled?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

from tests.acceptance.chaos.ledger import Books, Entry, Move, Run
from tests.acceptance.chaos.paths import PATHS, Path

FINAL = {"completed", "failed", "cancelled"}
NAP = timedelta(seconds=0.5)
FAULTS = ("lost or stuck", "moved twice", "wrong ledger", "wrong history", "wrong answers", "left over")


@dataclass
class Verdict:
    """What was found: the counts that a report shows, and each fault by its kind."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, str]] = field(default_factory=list)

    def number(self, kind: str) -> int:
        return sum(fault == kind for fault, _ in self.faults)


def judge(books: Books) -> Verdict:
    """Go through the books."""
    verdict = Verdict()
    verdict.counts.update(run.kind for run in books.runs.values())
    for check in (_missing, _stuck, _moves, _ledger, _history, _answers, _left_over):
        verdict.faults.extend((FAULTS[_KIND[check]], text) for text in check(books))
    return verdict


def _missing(books: Books) -> Iterator[str]:
    for promise in books.promises:
        if "run" in promise and promise["run"] not in books.runs:
            yield f"run #{promise['run']} of {promise['kind']} was started and is not there"


def _stuck(books: Books) -> Iterator[str]:
    for run in books.runs.values():
        if run.status not in FINAL:
            yield f"{_name(run)} is {run.status} at {run.step}, move {run.sequence}, attempt {run.attempt}"


def _moves(books: Books) -> Iterator[str]:
    """What PostgreSQL saw of each run is a chain of claims and moves in which no link comes twice."""
    for run in books.runs.values():
        moves = books.moves[run.id]
        whole = moves and moves[0].sequence == 1 and moves[-1].sequence == run.sequence
        if not whole or not all(_follows(before, after) for before, after in pairwise(moves)):
            yield f"{_name(run)} moved {[tuple(move)[2:] for move in moves]}"


def _follows(before: Move, after: Move) -> bool:
    if before.status in FINAL or after.sequence not in (before.sequence, before.sequence + 1):
        return False
    if after.sequence > before.sequence:
        return True
    if after.leased:
        return after.attempt == before.attempt + 1
    # By the post of a form, or by a worker that has claimed a step and leaves it to others before it began.
    given_back = before.leased and before.status == after.status
    return after.attempt in (before.attempt, before.attempt - given_back)


def _ledger(books: Books) -> Iterator[str]:
    for run in books.runs.values():
        visits = books.visits[run.id]
        for sequence, entries in visits.items():
            if len({entry.step for entry in entries}) > 1 or (entries[0].atomic and len(entries) > 1):
                yield f"{_name(run)} wrote {_steps(entries)} in visit {sequence}"
        went = tuple(visits[sequence][0].step for sequence in sorted(visits))
        if run.status in FINAL and not any((went, run.status) == (path.visits, path.status) for path in _paths(run)):
            yield f"{_name(run)} is {run.status} and went {' '.join(went)}"


def _history(books: Books) -> Iterator[str]:
    for run in books.runs.values():
        kept = tuple(
            step if status == "completed" else f"{step}:{status}" for step, status in books.history.get(run.id, [])
        )
        if run.status in FINAL and not any((kept, run.status) == (path.history, path.status) for path in _paths(run)):
            yield f"{_name(run)} is {run.status} and has the history {' '.join(kept)}"


def _answers(books: Books) -> Iterator[str]:
    """What was sent came once and in order, what a child said is what its parent heard, no nap was too short."""
    yield from _receipts(books)
    yield from _families(books)
    for run in books.runs.values():
        entries = [entries[0] for _, entries in sorted(books.visits[run.id].items())]
        if run.kind == "letters" and [entry.note for entry in entries if entry.note] != ["1", "2", "3"]:
            yield f"{_name(run)} read {[entry.note for entry in entries]}"
        if run.kind == "sleeper" and any(after.at - before.at < NAP for before, after in pairwise(entries[:3])):
            yield f"{_name(run)} woke too soon: {[str(entry.at) for entry in entries]}"


def _families(books: Books) -> Iterator[str]:
    children: dict[int | None, list[Run]] = defaultdict(list)
    for run in books.runs.values():
        children[run.parent].append(run)
    for run in books.runs.values():
        if run.kind == "parent" and run.status in FINAL:
            heard = [entry.note for entries in books.visits[run.id].values() for entry in entries if entry.note]
            if heard != [child.status for child in children[run.id]]:
                yield f"{_name(run)} heard {heard} of {children[run.id]}"


def _receipts(books: Books) -> Iterator[str]:
    paid = sum("paid" in promise for promise in books.promises)
    receipts = [run.event for run in books.runs.values() if run.kind == "receipt"]
    if len(set(receipts)) != len(receipts) or len(receipts) != paid:
        yield f"{paid} orders were paid, {len(receipts)} receipts sent for {len(set(receipts))} events"


def _left_over(books: Books) -> Iterator[str]:
    waits, letters = books.left_over
    if waits or letters:
        yield f"{waits} waits and {letters} messages are left"


_KIND = {_missing: 0, _stuck: 0, _moves: 1, _ledger: 2, _history: 3, _answers: 4, _left_over: 5}


def _paths(run: Run) -> tuple[Path, ...]:
    return PATHS[run.kind]


def _steps(entries: list[Entry]) -> str:
    return ", ".join(entry.step for entry in entries)


def _name(run: Run) -> str:
    return f"{run.kind} #{run.id}"
