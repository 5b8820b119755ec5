"""A person can click through the example's forms, as the pictures of the documentation show."""

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import CHROMIUM

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")
def test_the_example_comes_to_every_screen_of_the_documentation(tmp_path):
    command = [sys.executable, str(DOCS / "screenshots.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    taken, shown = ({picture.name for picture in place.glob("forms-*.png")} for place in (tmp_path, DOCS / "images"))
    assert taken == shown
