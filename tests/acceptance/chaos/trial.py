"""One trial: a load, the planned faults beside it, a quiet end, and what the judge found."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.acceptance.chaos import ledger
from tests.acceptance.chaos.faults import Deed, Fault, now, plan
from tests.acceptance.chaos.judge import Verdict, judge
from tests.acceptance.chaos.ledger import Books
from tests.acceptance.chaos.rig import Load, Rig

Say = Callable[[str], None]

# Seconds after the last fault and the last customer until all must have ended.
PATIENCE = 90
PROGRESS = 15


@dataclass
class Trial:
    """What is wanted, and what was done.

    Attributes:
        seconds: for how long customers come.
        rate: how many of them come in a second.
    """

    seed: object
    seconds: float
    rate: float
    say: Say = print
    faults: bool = True
    deeds: list[Deed] = field(default_factory=list)
    died: Counter[str] = field(default_factory=Counter)
    _began: float = field(default_factory=time.monotonic)
    _told: float = 0.0

    def run(self) -> tuple[Books, Verdict]:
        """Let it happen, wait for the end, and return the books and the verdict."""
        self._tell(f"seed {self.seed}: {self.seconds:g} s, {self.rate:g} starts a second")
        with Rig(self.seed) as rig:
            load, promised = rig.customers(self.seconds, self.rate, self.seed)
            load.rise()
            self._do_all(rig, load)
            self._wait_for_the_end(rig)
            books = ledger.read(rig.postgres.url, promised)
        return books, judge(books)

    def _do_all(self, rig: Rig, load: Load) -> None:
        coming = plan(self.seed, self.seconds) if self.faults else []
        chance = random.Random(f"victims {self.seed}")
        began = time.monotonic()
        doing: list[Future[None]] = []
        with ThreadPoolExecutor(8) as hands:
            while coming or _runs(load):
                self._keep_running(rig)
                while coming and coming[0][0] <= time.monotonic() - began:
                    _, fault = coming.pop(0)
                    doing.append(hands.submit(self._do, rig, fault, random.Random(chance.random())))
                time.sleep(0.05)
        for done in doing:
            done.result()
        if load.process is None or load.process.returncode:
            raise RuntimeError(f"the load ended: {load.log.read_text()[-3000:]}")

    def _do(self, rig: Rig, fault: Fault, chance: random.Random) -> None:
        deed = Deed(fault.name)
        fault.do(rig, chance, deed)
        deed.ended = now()
        self.deeds.append(deed)
        took = (deed.ended - deed.began).total_seconds()
        self._tell(f"{fault.name} {deed.victim}{f' ({took:.1f} s)' if took > 1 else ''}")

    def _wait_for_the_end(self, rig: Rig) -> None:
        deadline = time.monotonic() + PATIENCE
        while _open(ledger.counts(rig.postgres.url)) and time.monotonic() < deadline:
            self._keep_running(rig)
            time.sleep(0.2)

    def _keep_running(self, rig: Rig) -> None:
        for process in rig.dead():
            self.died[process.name[0]] += 1
            self._tell(f"{process.name} had ended of itself: {process.last_line()}")
        if time.monotonic() - self._told > PROGRESS:
            self._told = time.monotonic()
            self._tell(f"{dict(sorted(ledger.counts(rig.postgres.url).items()))}")

    def _tell(self, what: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        self.say(f"{minutes:3}:{seconds:02}  {what}")


def _runs(load: Load) -> bool:
    return load.process is not None and load.process.poll() is None


def _open(counts: dict[str, int]) -> int:
    return counts.get("running", 0) + counts.get("suspended", 0) if counts else 1
