"""Draws the diagram of docs/states.md from the machine's table: `python docs/draw_states.py` rewrites it."""

from collections import defaultdict
from pathlib import Path

from django_ai.automation.workflows.machine.statuses import FINAL, MOVES

PAGE = Path(__file__).with_name("states.md")
BEGIN = "<!-- drawn by docs/draw_states.py -->\n"
END = "<!-- end of the drawing -->\n"


def diagram() -> str:
    """Return MOVES as a Mermaid state diagram: one arrow for each two statuses, with what leads along it."""
    happenings = defaultdict(list)
    for (before, happening), afters in MOVES.items():
        for after in sorted(afters):
            happenings[before, after].append(happening.__name__)
    arrows = [
        f"    {before or '[*]'} --> {after} : {', '.join(names)}" for (before, after), names in happenings.items()
    ]
    ends = [f"    {status} --> [*]" for status in sorted(FINAL)]
    return "\n".join(["```mermaid", "stateDiagram-v2", *arrows, *ends, "```", ""])


def redrawn(page: str) -> str:
    """Return the page with its drawing replaced."""
    head, rest = page.split(BEGIN)
    _, tail = rest.split(END)
    return head + BEGIN + diagram() + END + tail


if __name__ == "__main__":
    PAGE.write_text(redrawn(PAGE.read_text()))
