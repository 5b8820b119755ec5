"""A contender's processes: its workers, and the driver that starts runs and measures."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.contenders import ROOT
from tests.servers.process import Server


class ContenderFailed(RuntimeError):
    """A contender's process did not do what it was asked; the message carries what it said."""


class Program(Server):
    """A process of a contender, with its children; it can be frozen, thawed and killed as one."""

    name = "bench"

    def __init__(self, python: Path, arguments: list[str], variables: Mapping[str, str]) -> None:
        super().__init__()
        self.arguments = [str(python), *arguments]
        self.variables = variables

    def command(self) -> list[str]:
        return self.arguments

    def answers(self) -> bool:
        """Leave it to the first run that a worker completes to show that it is there."""
        return True

    def identity(self) -> dict[str, Any]:
        return {"env": environment(self.variables)}

    def close(self) -> None:
        """Kill it and its children: nothing it holds is wanted any more."""
        self.kill()
        super().close()

    def cpu_seconds(self) -> float:
        """Return the processor time that it and its children have used so far."""
        return cpu_of(self.process.pid) if self.process else 0.0

    def said(self) -> str:
        """Return the end of what it printed."""
        return self.log.read_text(errors="replace")[-3000:]


def cpu_of(pid: int) -> float:
    """Return the processor seconds of a process and its descendants, those that have ended included."""
    parent = psutil.Process(pid)
    return sum(map(_cpu_seconds, [parent, *parent.children(recursive=True)]))


def _cpu_seconds(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that imports this package but not the harness's packages."""
    kept = {name: value for name, value in os.environ.items() if name not in {"DJANGO_SETTINGS_MODULE", "VIRTUAL_ENV"}}
    return {**kept, **variables, "PYTHONPATH": str(ROOT)}


class Driver:
    """Asks the measuring process, which runs in the contender's environment."""

    def __init__(self, python: Path, module: str, variables: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [str(python), "-m", "benchmarks.driver", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment(variables),
                start_new_session=True,
            )

    @staticmethod
    def prepare(python: Path, module: str, variables: Mapping[str, str]) -> None:
        """Have a contender prepare its database. Raises ContenderFailed."""
        code = f"from {module} import prepare; prepare()"
        done = subprocess.run(
            [str(python), "-c", code], env=environment(variables), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ContenderFailed(f"{module} could not prepare its database:\n{done.stdout}{done.stderr}")

    def ask(self, what: str, **arguments: Any) -> Any:
        """Have something measured and return the result. Raises ContenderFailed."""
        assert self._process.stdin
        assert self._process.stdout
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": self._log.read_text(errors="replace")[-3000:]}
        if "error" in answer:
            raise ContenderFailed(f"{what}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
