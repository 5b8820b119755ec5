"""The diagram in the docs is the machine's table."""

import re
import runpy

import pytest

from django_ai.automation.workflows.machine.statuses import FINAL, MOVES


@pytest.fixture(scope="module")
def drawing(pytestconfig):
    return runpy.run_path(str(pytestconfig.rootpath / "docs" / "draw_states.py"))


def test_the_page_is_current(drawing):
    page = drawing["PAGE"].read_text()
    assert drawing["redrawn"](page) == page, "Run python docs/draw_states.py"


def test_every_move_is_drawn_and_nothing_else(drawing):
    arrows = re.findall(r"(\S+) --> (\w+) : (.+)", drawing["diagram"]())
    drawn = {(before, name, after) for before, after, names in arrows for name in names.split(", ")}
    moves = {
        (str(before or "[*]"), happening.__name__, str(after))
        for (before, happening), afters in MOVES.items()
        for after in afters
    }
    assert drawn == moves
    assert set(re.findall(r"(\w+) --> \[\*\]", drawing["diagram"]())) == FINAL


def test_redrawing_replaces_an_old_drawing_and_keeps_the_text(drawing):
    page = f"before\n{drawing['BEGIN']}old\n{drawing['END']}after\n"
    redrawn = drawing["redrawn"](page)
    assert redrawn.startswith("before\n")
    assert redrawn.endswith("after\n")
    assert drawing["diagram"]() in redrawn
    assert "old" not in redrawn
