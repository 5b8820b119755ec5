"""Pyright finds in api.py what mypy finds there too, which `make lint` asks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.plugin import WANT_OF

API = Path(__file__).with_name("api.py")
ENVIRONMENT = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}


def pyright(*arguments):
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", autouse=True)
def installed():
    """The package fetches Pyright itself when it is first used, which needs Node and a network."""
    if pyright("--version").returncode != 0:
        pytest.skip(f"{WANT_OF}Pyright")


def test_pyright_infers_the_types_and_finds_the_mistakes():
    done = pyright(API)
    assert done.returncode == 0, done.stdout


def test_pyright_would_find_a_mistake_that_is_none(tmp_path, pytestconfig):
    text = API.read_text().replace("engine.start(3)", "engine.start('child')")
    wrong = tmp_path / "wrong.py"
    wrong.write_text(text)
    settings = tmp_path / "pyrightconfig.json"
    options = {"include": ["wrong.py"], "extraPaths": [str(pytestconfig.rootpath)]}
    settings.write_text(json.dumps({**options, "reportUnnecessaryTypeIgnoreComment": "error"}))
    done = pyright("--project", settings)
    assert 'Unnecessary "# type: ignore" comment' in done.stdout
