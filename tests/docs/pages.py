"""The pages, and the parsers that find the blocks in them."""

from __future__ import annotations

import re
from pathlib import Path

from sybil import Document
from sybil.parsers.myst import CodeBlockParser, SkipParser

from tests.docs import DOCS, ROOT
from tests.docs.languages import EVALUATORS

# The tutorial is followed from its first command to its last by tests/acceptance/test_tutorial.py.
FOLLOWED = DOCS / "tutorial.md"
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "example_project" / "README.md"]
    if "_build" not in path.parts and path != FOLLOWED
)
_FENCE = re.compile(r"^[ \t]*`{3,}(.*)$", re.MULTILINE)
_PARSERS = [SkipParser(), *(CodeBlockParser(language, evaluator) for language, evaluator in EVALUATORS.items())]


def name_of(page: Path) -> str:
    """Return how a test names a page."""
    return page.relative_to(ROOT).with_suffix("").as_posix()


def parse(page: Path) -> Document:
    """Return a page with its blocks."""
    return Document.parse(str(page), *_PARSERS)


def languages_of(page: Path) -> set[str]:
    """Return the languages of a page's fenced blocks, directives not counted; a block without one is ''."""
    fences = _FENCE.findall(page.read_text())
    return {opening.strip() for opening in fences[::2] if not opening.startswith("{")}
