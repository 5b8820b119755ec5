"""Files and functions stay small enough to be read at once."""

import ast
from collections.abc import Iterator

from tests.architecture.code import Module, broken, modules, violations

MOST_LINES_OF_A_FILE = 300
MOST_LINES_OF_A_FUNCTION = 40


def long_functions(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the functions that are long, their docstrings not counted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = _lines(node) - (_lines(node.body[0]) if ast.get_docstring(node) else 0)
            if lines > MOST_LINES_OF_A_FUNCTION:
                yield node.lineno, f"{node.name} has {lines} lines"


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def too_long(module: Module) -> bool:
    return len(module.text.splitlines()) > MOST_LINES_OF_A_FILE


def test_no_file_is_long():
    assert [module.path for module in modules() if too_long(module)] == []


def test_no_function_is_long():
    assert violations(long_functions, modules()) == []


def test_a_line_too_many_is_found():
    body = "def long():\n" + "    work()\n" * MOST_LINES_OF_A_FUNCTION
    assert broken(long_functions, body) == ["long has 41 lines"]
    assert not broken(long_functions, body.removesuffix("    work()\n"))
    assert too_long(Module("long.py", "\n" * (MOST_LINES_OF_A_FILE + 1)))
    assert not too_long(Module("short.py", "\n" * MOST_LINES_OF_A_FILE))
