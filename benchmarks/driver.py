"""The measuring process of one contender: does what it reads, a JSON object a line, and answers likewise.

It runs in the contender's environment: `python -m benchmarks.driver benchmarks.peers.dbos_app`.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.marks import VARIABLE, Tape
from benchmarks.measures import Measures


def main(module: str) -> None:
    """Answer requests until there are none."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    client = import_module(module).Client()
    measures = Measures(client, Tape(Path(os.environ[VARIABLE])))
    for line in sys.stdin:
        answers.write(json.dumps(_answer(measures, json.loads(line))) + "\n")


def _answer(measures: Measures, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": getattr(measures, request.pop("do"))(**request)}
    except Exception:  # noqa: BLE001 - whatever it is, it is shown where the run was started
        return {"error": traceback.format_exc()}


if __name__ == "__main__":
    main(sys.argv[1])
