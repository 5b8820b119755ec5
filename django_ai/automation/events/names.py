"""The names of events: those that models declare, and those in the rest of the project's code."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.apps import apps

from ..signatures import closest
from . import registry
from .definitions import EventDefinition

# The calls that listen to an event by its name. No code emits a name that stands nowhere else.
LISTENING = frozenset({"on_event", "subscribe", "wait_for_event", "for_event", "event_workflow"})

_INSTALLED = frozenset({"site-packages", "dist-packages"})


@dataclass(frozen=True, slots=True)
class Emitted:
    """A call of emit with a name that stands in the code."""

    name: str
    place: str


def declared() -> dict[str, list[EventDefinition]]:
    """Return the declarations of all models by the event's name."""
    found: dict[str, list[EventDefinition]] = {}
    for model in registry.models_with_events():
        for item in registry.definitions_of(model):
            found.setdefault(item.name, []).append(item)
    return found


def unheard_of(names: Iterable[str]) -> set[str]:
    """Return the names that no model declares, and that stand in the project's code only where it listens.

    A name that stands elsewhere, as in ``emit("paid")`` or ``PAID = "paid"``, may be emitted.
    """
    left = set(names) - declared().keys()
    for _, text in _sources() if left else ():
        if any(name in text for name in left) or "emit(" in text:
            tree = _tree(text)
            left -= _said(tree)
            left -= {name for name in left if any(pattern.fullmatch(name) for pattern in _computed(tree))}
    return left


def emitted() -> list[Emitted]:
    """Return the calls of emit in the project's code whose name is a text."""
    return [
        Emitted(name, f"{path}:{call.lineno}")
        for path, text in _sources()
        if "emit(" in text and "automation.events" in text
        for call, name in _emits(_tree(text))
    ]


def hint(name: str, names: Iterable[str]) -> str:
    """Return the hint about a name that nothing emits: the nearest of ``names``, or how to declare it."""
    return closest(name, names) or "Declare it with EventDefinition(…), or emit it."


def _emits(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(args=[ast.Constant(value=str(name)), *_]) if _called(node) == "emit":
                yield node, name


def _computed(tree: ast.Module) -> list[re.Pattern[str]]:
    """Return patterns that match the names of events in ``emit(f"…")``."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and _called(node) == "emit" and node.args)
    return [
        re.compile("".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+" for part in parts))
        for call in calls
        if isinstance(call.args[0], ast.JoinedStr) and (parts := call.args[0].values)
    ]


def _said(tree: ast.Module) -> set[str]:
    """Return the texts of a module, without the names of events to which it listens."""
    listening = {
        id(value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _called(node) in LISTENING
        for value in (*node.args, *(keyword.value for keyword in node.keywords))
    }
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in listening)
    return {node.value for node in constants if isinstance(node.value, str)}


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _tree(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def _sources() -> Iterator[tuple[Path, str]]:
    """Yield the Python files of the project, imported or not, without those of installed packages."""
    for path in sorted(_files()):
        try:
            yield path, path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue


def _files() -> set[Path]:
    own = Path(__file__).parents[2]
    roots = [Path(config.path) for config in apps.get_app_configs()]
    found = {path for root in roots if _is_project(root, own) for path in root.rglob("*.py")}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) if name.partition(".")[0] not in sys.stdlib_module_names else None
        if isinstance(file, str) and file.endswith(".py") and _is_project(Path(file), own):
            found.add(Path(file))
    return found


def _is_project(path: Path, own: Path) -> bool:
    return not _INSTALLED & set(path.parts) and own not in (path, *path.parents)
