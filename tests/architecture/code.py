"""The package's modules as syntax trees, for the tests that read the code."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import django_ai

PACKAGE = Path(django_ai.__file__).parent
WORKFLOWS = "automation/workflows"

Rule = Callable[[ast.AST], Iterator[tuple[int, str]]]


@dataclass(frozen=True)
class Module:
    """A module's path below the package, its text and its tree."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)


def modules(*below: str) -> list[Module]:
    """Return the modules that lie below the given paths (all of them without one), no migrations."""
    files = sorted(path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts)
    found = [Module(path.relative_to(PACKAGE).as_posix(), path.read_text()) for path in files]
    return [module for module in found if not below or module.path.startswith(below)]


def violations(rule: Rule, found: list[Module], *, exempt: tuple[str, ...] = ()) -> list[str]:
    """Return `path:line what` for everything that breaks a rule outside the exempt modules."""
    return [
        f"{module.path}:{line} {what}"
        for module in found
        if not module.path.startswith(exempt or ("\0",))
        for line, what in rule(module.tree)
    ]


def broken(rule: Rule, source: str) -> list[str]:
    """Return what breaks a rule in a piece of source: how a test shows that a rule can fail."""
    return [what for _, what in rule(ast.parse(source))]


def dotted(node: ast.AST) -> str:
    """Return `a.b.c` for a chain of attributes, and as much of its end as has names."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{dotted(value)}.{name}".lstrip(".")
        case _:
            return ""


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the full name of everything imported absolutely."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield from ((node.lineno, f"{module}.{name.name}") for name in names)
