"""`make chaos`: one long trial, told as it goes; exits with 1 if anything was lost or doubled."""

from __future__ import annotations

import argparse
import random
import sys

from tests.acceptance.chaos import report
from tests.acceptance.chaos.trial import Trial


def main() -> int:
    """Run a trial and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", default=str(random.randrange(1_000_000)))
    parser.add_argument("--rate", type=float, default=3, help="workflows started in a second")
    given = parser.parse_args()
    trial = Trial(given.seed, given.minutes * 60, given.rate, say=_say)
    books, verdict = trial.run()
    for line in report.lines(trial, books, verdict):
        _say(line)
    return 1 if verdict.faults or report.too_slow(trial, books) else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
