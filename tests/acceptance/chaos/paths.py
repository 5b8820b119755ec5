"""How each kind of workflow may go: what its steps write, what history keeps, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Path:
    """One way for a run to go.

    Attributes:
        visits: the steps that wrote the ledger, in order.
        history: the steps that history shows, with their status where they did not complete.
        status: how the run ended.
    """

    visits: tuple[str, ...]
    history: tuple[str, ...]
    status: str = "completed"


def path(visits: str, history: str | None = None, status: str = "completed") -> Path:
    """Return the path with these steps; history is the same unless it is given."""
    return Path(tuple(visits.split()), tuple((visits if history is None else history).split()), status)


# A step that sleeps and comes back has one row of history, when the run leaves it. One that is cancelled may
# not have begun.
PATHS: dict[str, tuple[Path, ...]] = {
    "chain": (path("one two three four"),),
    "shaky": (path("first shake"),),
    "hopeless": (path("first", "first breaks:failed", "failed"),),
    "sleeper": (path("nap nap nap rise", "nap rise"),),
    "letters": (path("ask read ask read ask read"),),
    "deadline": (path("ask answered"), path("ask late")),
    "child": (path("play end"), path("play end", "play end:failed", "failed")),
    "parent": (path("send back"),),
    "form": (path("draw fill check"),),
    "bill": (path("send book"),),
    "receipt": (path("send"),),
    "outside": (path("call book thank"),),
    "quick": (path("act"),),
    "endless": (path("linger", "", "cancelled"), path("", "", "cancelled")),
}
