"""The site is built without a warning, has every public name, and no link in it leads nowhere."""

import importlib
import inspect
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag

import pytest
from django.dispatch import Signal

from django_ai.automation import documentation
from tests.docs import DOCS, ROOT

inventories = pytest.importorskip("sphinx.util.inventory")
pytest.importorskip("furo")

# To build the site takes long: one process does it, for all of these.
pytestmark = pytest.mark.xdist_group("site")

# What users import. Of modules with __all__ those names, else what is defined there.
PUBLIC = (
    "django_ai.automation.workflows.core",
    "django_ai.automation.workflows.exceptions",
    "django_ai.automation.workflows.metadata",
    "django_ai.automation.workflows.models",
    "django_ai.automation.workflows.permissions",
    "django_ai.automation.workflows.signals",
    "django_ai.automation.workflows.statezero_action",
    "django_ai.automation.events",
    "django_ai.automation.events.models",
    "django_ai.automation.events.signals",
    "django_ai.automation.testing",
)
# Defined in a public module for the package's own use.
INTERNAL = {
    "django_ai.automation.events.models": {"database", "entities", "entity_key"},
    "django_ai.automation.events.signals": {"send_after_commit"},
    "django_ai.automation.workflows.exceptions": {
        "describe",
        "kept",
        "pydantic_faults",
        "pydantic_reasons",
        "traceback_of",
    },
    "django_ai.automation.workflows.metadata": {"jsonable"},
    "django_ai.automation.workflows.models": {"ExactCharField", "SignalKind", "SignalState", "WaitOutcome"},
    "django_ai.automation.workflows.permissions": {
        "Row",
        "is_granted",
        "is_owner",
        "is_staff",
        "visibility_hook",
        "visible_to",
    },
    "django_ai.automation.workflows.signals": {"Signals"},
}


def public_names():
    for name in PUBLIC:
        module = importlib.import_module(name)
        yield from (f"{name}.{found}" for found in sorted(_names_of(module) - INTERNAL.get(name, set())))


def _names_of(module):
    if hasattr(module, "__all__"):
        return set(module.__all__)
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (isinstance(value, Signal) or getattr(value, "__module__", None) == module.__name__)
    }


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The built site."""
    place = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going", "-d", place / "doctrees", DOCS]
    done = subprocess.run([*command, place / "html"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return place / "html"


@pytest.fixture(scope="session")
def inventory(site):
    """The names that the site documents."""
    found = inventories.InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    return {name for kind in found.data if kind.startswith("py:") for name in found.data[kind]}


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.ids, self.links = set(), set()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.ids |= {attributes[name] for name in ("id", "name") if attributes.get(name)}
        self.links |= {attributes[name] for name in ("href", "src") if attributes.get(name)}


@pytest.fixture(scope="session")
def read(site):
    """Every page of the site, with its anchors and links."""
    pages = {}
    for path in site.rglob("*.html"):
        pages[path] = _Reader()
        pages[path].feed(path.read_text())
    return pages


def dead_links(pages):
    for path, page in pages.items():
        for link in page.links:
            address, anchor = urldefrag(link)
            if re.match(r"[a-z]+:|//", address):
                continue
            target = (path.parent / unquote(address.partition("?")[0])).resolve() if address else path
            known = pages.get(target)
            if not target.exists() or (anchor and known is not None and unquote(anchor) not in known.ids):
                yield f"{path.name}: {link}"


def test_no_link_leads_nowhere(read):
    assert len(read) > 20
    assert sorted(dead_links(read)) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<a id="here" href="#here"><a href="#there"><a href="gone.html"><img src="gone.png">')
    reader = _Reader()
    reader.feed(page.read_text())
    found = {link.partition(": ")[2] for link in dead_links({page: reader})}
    assert found == {"#there", "gone.html", "gone.png"}


def test_every_public_name_is_in_the_reference(inventory):
    names = list(public_names())
    assert "django_ai.automation.workflows.core.engine" in names
    assert [name for name in names if not _is_documented(name, inventory)] == []


def _is_documented(name, inventory):
    """Whether the name stands there where users import it from, or where it is defined."""
    module, _, last = name.rpartition(".")
    value = getattr(importlib.import_module(module), last)
    defined = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
    return name in inventory or defined in inventory


def test_every_method_of_the_engine_and_the_testing_kit_is_in_the_reference(inventory):
    from django_ai.automation.testing import Workflows
    from django_ai.automation.workflows.core import engine

    public = [name for name, _ in inspect.getmembers(engine, inspect.ismethod) if not name.startswith("_")]
    assert [name for name in public if f"django_ai.automation.workflows.core.engine.{name}" not in inventory] == []
    kit = set(vars(Workflows)) - {"publish"}
    assert [
        name for name in kit if name[0] != "_" and f"django_ai.automation.testing.Workflows.{name}" not in inventory
    ] == []


def test_every_public_name_has_a_docstring():
    nameless = [name for name in public_names() if not _is_explained(*name.rpartition(".")[::2])]
    assert nameless == []


def _is_explained(module, name):
    value = getattr(importlib.import_module(module), name)
    if isinstance(value, Signal):
        return True  # an instance; the page has its text
    members = vars(value).items() if inspect.isclass(value) else ()
    named = [
        member
        for key, member in members
        if not key.startswith("_")
        and (isinstance(member, property | classmethod) or inspect.isfunction(member))
        and key not in {"refresh_from_db", "save", "delete"}  # Django's
    ]
    return bool(inspect.getdoc(value)) and all(inspect.getdoc(member) for member in named)


def _anchor(link):
    page, _, anchor = link.partition("#")
    return page, anchor


@pytest.fixture
def anchors(site, read, monkeypatch):
    """Say whether an address of the package's own making exists in the site."""
    monkeypatch.setattr(documentation, "ADDRESS", "{page}.html#{anchor}")
    return lambda link: _anchor(link)[1] in read[site / _anchor(link)[0]].ids


def test_every_check_is_explained_where_its_hint_leads(anchors):
    sources = "".join(path.read_text() for path in (ROOT / "django_ai").rglob("*.py"))
    codes = sorted(set(re.findall(r'"(django_ai\w*\.[EW]\d+)"', sources)))
    assert {"django_ai.E001", "django_ai_events.W001"} <= set(codes)
    assert [code for code in codes if not anchors(documentation.check_link(code))] == []


def test_every_error_is_explained_where_its_traceback_leads(anchors):
    from django_ai.automation.workflows import exceptions

    kinds = [
        kind for _, kind in inspect.getmembers(exceptions, inspect.isclass) if kind.__module__ == exceptions.__name__
    ]
    assert len(kinds) > 10
    assert [kind.__name__ for kind in kinds if not anchors(documentation.error_link(kind))] == []
