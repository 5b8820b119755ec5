"""Each contender gets a virtual environment of its own under .cache/bench."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from benchmarks.contenders import ROOT, Contender

PLACE = ROOT / ".cache" / "bench"


def python_of(contender: Contender) -> Path:
    """Return the interpreter of the contender's environment."""
    return PLACE / contender.place / "bin" / "python"


def install(contender: Contender) -> None:
    """Make the environment, or bring it up to date when the requirements have changed."""
    if not contender.requirements:
        return
    python, stamp = python_of(contender), PLACE / contender.place / "installed"
    wanted = _fingerprint(contender)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"Installing {contender.title} into {python.parents[1].relative_to(ROOT)} …", flush=True)
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
    quiet = ["--quiet", "--disable-pip-version-check"]
    pip = [str(python), "-m", "pip", "install", *quiet, "--upgrade", *contender.requirements]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{contender.title} could not be installed:\n{done.stderr}")
    stamp.write_text(wanted)


def versions(python: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of those of the distributions that are installed for an interpreter."""
    found = python.parents[1].glob("lib/python*/site-packages")
    installed = {one.name.lower(): one.version for one in metadata.distributions(path=[str(path) for path in found])}
    return {name: installed[name] for name in names if name in installed}


def _fingerprint(contender: Contender) -> str:
    own = (ROOT / "pyproject.toml").read_bytes() if "--editable" in contender.requirements else b""
    return hashlib.sha256("\n".join([sys.version, *contender.requirements]).encode() + own).hexdigest()
