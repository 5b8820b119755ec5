"""What is declared and decided depends on its arguments alone: no database, no clock, no chance."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.code import WORKFLOWS, broken, calls, dotted, imports, modules, violations

# Beginnings of what may not be imported: I/O, chance, clocks.
IMPURE = (
    "django.db",
    "django.core.cache",
    "celery",
    "kombu",
    "time",
    "random",
    "secrets",
    "os",
    "socket",
    "subprocess",
    "threading",
    "asyncio",
    "tempfile",
    "shutil",
)
# Ends of calls that ask a clock, chance or the machine.
ASKS = (
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "timezone.now",
    "timezone.localtime",
    "timezone.localdate",
    "clock.now",
    "clock.read",
    "uuid1",
    "uuid4",
    "open",
    "input",
    "print",
    "sleep",
)


def impurity(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for line, name in imports(tree):
        if any(name == impure or name.startswith(f"{impure}.") for impure in IMPURE):
            yield line, f"imports {name}"
    for call in calls(tree):
        name = dotted(call.func)
        if any(name == ask or name.endswith(f".{ask}") for ask in ASKS):
            yield call.lineno, f"calls {name}()"


@pytest.mark.parametrize("part", ["machine", "authoring"])
def test_the_part_is_pure(part):
    found = modules(f"{WORKFLOWS}/{part}/")
    assert found
    assert violations(impurity, found) == []


@pytest.mark.parametrize(
    "source",
    [
        "from django.db import models",
        "import celery",
        "import time",
        "from random import uniform",
        "import os.path",
        "import datetime\nnow = datetime.datetime.now()",
        "from django.utils import timezone\nnow = timezone.now()",
        "import uuid\nkey = uuid.uuid4()",
        "text = open('file').read()",
    ],
)
def test_an_impure_line_is_found(source):
    assert broken(impurity, source)


@pytest.mark.parametrize("source", ["from datetime import datetime", "import typing", "today = order.today()"])
def test_a_pure_line_is_not(source):
    assert not broken(impurity, source)
