"""The code of functions as syntax trees, and what the names in it stand for."""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
import sys
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import resolve_name
from types import CodeType, FunctionType, ModuleType
from typing import Any

# What a name stands for when only a run can tell.
UNKNOWN = object()


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Source:
    """A function and its syntax tree."""

    function: FunctionType
    tree: ast.FunctionDef

    @property
    def parameters(self) -> list[str]:
        """The names of its positional parameters."""
        return [argument.arg for argument in (*self.tree.args.posonlyargs, *self.tree.args.args)]

    def place(self, node: ast.AST) -> Place:
        """Return where a node of the tree stands."""
        return Place(self.function.__code__.co_filename, getattr(node, "lineno", self.tree.lineno))

    def value(self, expression: ast.expr) -> Any:
        """Return what a name, or an attribute of a module, class or command, stands for; else UNKNOWN."""
        return _value(expression, self._named)

    def _named(self, name: str) -> Any:
        code = self.function.__code__
        if name in code.co_varnames or name in code.co_cellvars:
            return _imported(self, name)
        if name in _names_inside(code):
            return UNKNOWN  # in one of the functions inside it is another
        for names in (closure(self.function), self.function.__globals__, vars(builtins)):
            if name in names:
                return names[name]
        return UNKNOWN


def find(function: Callable[..., Any]) -> Source | None:
    """Return the source of a function, or None where there is none to read (exec, a lambda, no file)."""
    inner = inspect.unwrap(function)
    if not isinstance(inner, FunctionType):
        return None
    code = inner.__code__
    linecache.checkcache(code.co_filename)
    text = "".join(linecache.getlines(code.co_filename, inner.__globals__))
    tree = _functions(text).get((code.co_firstlineno, code.co_name))
    return Source(inner, tree) if tree else None


def place_of_function(function: Any) -> Place | None:
    """Return where a function is written, or None unless it is a function in Python."""
    code = getattr(inspect.unwrap(function) if inspect.isfunction(function) else function, "__code__", None)
    return Place(code.co_filename, code.co_firstlineno) if code else None


def at(place: Place | None) -> str:
    """Return a place as it follows a name in an error, nothing where it is unknown."""
    return f" ({place})" if place else ""


def place_of_class(cls: type) -> Place | None:
    """Return where a class is written, or None where there is no source."""
    try:
        file = inspect.getsourcefile(cls)
        return Place(file, inspect.getsourcelines(cls)[1]) if file else None
    except (OSError, TypeError, SyntaxError):
        return None


def tree_of_class(cls: type) -> ast.ClassDef | None:
    """Return the syntax tree of a class's body, None where there is none to read."""
    place = place_of_class(cls)
    classes = _classes("".join(linecache.getlines(place.file))) if place else {}
    return classes.get((place.line, cls.__name__)) if place else None


def value_in(expression: ast.expr, names: Mapping[str, Any]) -> Any:
    """Return what an expression stands for where ``names`` are all names; else UNKNOWN."""
    return _value(expression, lambda name: names.get(name, UNKNOWN))


def _value(expression: ast.expr, named: Callable[[str], Any]) -> Any:
    match expression:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return named(name)
        case ast.Attribute(value=owner, attr=attribute):
            # Static: a property or a lazy object must not run because somebody draws a graph.
            return inspect.getattr_static(_value(owner, named), attribute, UNKNOWN)
    return UNKNOWN


def _names_inside(code: CodeType) -> Iterator[str]:
    """Yield the names of the functions inside a function, their parameters and variables."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from (*inner.co_varnames, *inner.co_cellvars, *_names_inside(inner))


def own_nodes(tree: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield the nodes of a function's body, without those of the functions inside it."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))


def assigned(source: Source, name: str) -> list[ast.expr]:
    """Return all values that a function assigns to one of its own names; none where it may have others too."""
    if name in _bound_otherwise(source.tree):
        return []
    found: list[ast.expr] = []
    for node in own_nodes(source.tree):
        match node:
            case ast.Assign(targets=targets, value=value):
                pass
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.NamedExpr(target=target, value=value):
                targets = [target]
            case _:
                continue
        if any(is_name(target, {name}) for target in targets):
            found.append(value)
    return found


def _bound_otherwise(tree: ast.FunctionDef) -> set[str]:
    """Return the names to which a function gives values by other means than a plain assignment."""
    arguments = tree.args
    given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    found = {argument.arg for argument in given if argument}
    plain: set[int] = set()
    for node in own_nodes(tree):
        match node:
            case ast.Assign(targets=targets):
                plain |= {id(target) for target in targets}
            case ast.AnnAssign(target=target) | ast.NamedExpr(target=target):
                plain.add(id(target))
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) if id(node) not in plain:
                found.add(name)
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                found.add(name)
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                found |= set(names)
    return found


def is_name(node: ast.expr, names: AbstractSet[str]) -> bool:
    """Say whether an expression is one of these names."""
    return isinstance(node, ast.Name) and node.id in names


@lru_cache(maxsize=64)
def _functions(text: str) -> dict[tuple[int, str], ast.FunctionDef]:
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError):
        return {}
    functions = (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef))
    return {(min(node.lineno, *_decorator_lines(node)), node.name): node for node in functions}


@lru_cache(maxsize=64)
def _classes(text: str) -> dict[tuple[int, str], ast.ClassDef]:
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError):
        return {}
    classes = (node for node in ast.walk(module) if isinstance(node, ast.ClassDef))
    return {(min(node.lineno, *_decorator_lines(node)), node.name): node for node in classes}


def _decorator_lines(node: ast.FunctionDef | ast.ClassDef) -> list[int]:
    return [decorator.lineno for decorator in node.decorator_list] or [node.lineno]


def closure(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the names that a function takes from the functions around it, with their values."""
    found: dict[str, Any] = {}
    inner = inspect.unwrap(function)
    if not isinstance(inner, FunctionType):
        return found
    for name, cell in zip(inner.__code__.co_freevars, inner.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            found[name] = UNKNOWN
    return found


def _imported(source: Source, name: str) -> Any:
    # What the function imports itself; a module that it has not imported yet stays unknown.
    for node in own_nodes(source.tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return getattr(_module(source, node), alias.name, UNKNOWN)
    return UNKNOWN


def _module(source: Source, node: ast.ImportFrom) -> ModuleType | None:
    package = source.function.__globals__.get("__package__")
    if node.level and not package:
        return None
    return sys.modules.get(resolve_name("." * node.level + (node.module or ""), package))
