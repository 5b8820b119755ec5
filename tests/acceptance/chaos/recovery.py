"""How long the runs of a worker that was killed stood still, until another took their step or it moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.acceptance.chaos.faults import BY_NAME, Deed
from tests.acceptance.chaos.ledger import Books, Move

# What a victim has sent to the database may be carried out this much after its death.
SLACK = timedelta(seconds=0.2)


@dataclass(frozen=True)
class Recovery:
    """A run that lost its worker.

    Attributes:
        seconds: from the worker's death until the run was taken up again.
        delayed_by: what else happened in that time that takes longer than a lease to get over.
    """

    run: int
    deed: Deed
    seconds: float
    delayed_by: tuple[str, ...]


def recoveries(books: Books, deeds: Sequence[Deed], kinds: tuple[str, ...]) -> list[Recovery]:
    """Return the runs that were in the hands of the victims of these kinds of deeds."""
    victims = [deed for deed in deeds if deed.kind in kinds and deed.victim]
    found = []
    for moves in books.moves.values():
        for lost, again in _handovers(moves):
            deed = next((deed for deed in victims if _died_with(deed, lost, again)), None)
            if deed is not None:
                seconds = (again.at - deed.began).total_seconds()
                found.append(Recovery(lost.run, deed, seconds, _delays(deeds, deed, again.at)))
    return found


def _handovers(moves: list[Move]) -> Iterator[tuple[Move, Move]]:
    """Yield a worker's claims with the next claim or move of the run by anybody else."""
    for index, move in enumerate(moves):
        if move.leased and move.status == "running":
            later = (after for after in moves[index + 1 :] if _fence(after) != _fence(move))
            again = next(later, None)
            if again is not None and again.who != move.who:
                yield move, again


def _fence(move: Move) -> tuple[str, int, int]:
    return move.status, move.sequence, move.attempt


def _died_with(deed: Deed, lost: Move, again: Move) -> bool:
    whole_family = deed.victim.endswith(":")
    its = lost.who.startswith(deed.victim) if whole_family else lost.who == deed.victim
    # One that was only paused goes on to claim others afterwards.
    return its and lost.at <= deed.began + SLACK and again.at > deed.began


def _delays(deeds: Sequence[Deed], own: Deed, until: datetime) -> tuple[str, ...]:
    return tuple(
        deed.kind
        for deed in deeds
        if deed is not own
        and BY_NAME[deed.kind].delays
        and deed.began < until
        and (deed.ended is None or deed.ended > own.began)
    )
