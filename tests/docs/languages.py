"""Runs or checks what stands in a page's fenced blocks, by their language."""

from __future__ import annotations

import configparser
import inspect
import json
import shutil
import subprocess
import tomllib
import unittest
from collections.abc import Callable

import yaml
from django.template import engines
from django.test import TestCase
from sybil import Example
from sybil.evaluators.python import PythonEvaluator

from tests.docs import commands

_run = PythonEvaluator()


def python(example: Example) -> None:
    """Run a block in its page's namespace, and the tests that it defines."""
    before = set(example.namespace)
    _run(example)
    for name in [name for name in example.namespace if name not in before]:
        thing = example.namespace[name]
        if name.startswith("test_"):
            fixtures = inspect.signature(thing).parameters
            thing(**{fixture: example.namespace["request"].getfixturevalue(fixture) for fixture in fixtures})
        elif inspect.isclass(thing) and issubclass(thing, TestCase) and thing is not TestCase:
            result = unittest.TestResult()
            unittest.defaultTestLoader.loadTestsFromTestCase(thing).run(result)
            assert result.testsRun, f"{name} has no test"
            assert result.wasSuccessful(), result


def console(example: Example) -> None:
    """Check each command; in a block with a prompt the other lines are what it prints."""
    lines = example.parsed.replace("\\\n", " ").splitlines()
    prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    for line in prompted or lines:
        commands.check(line)


def template(example: Example) -> None:
    """Compile a template."""
    engines["django"].from_string(example.parsed)


def javascript(example: Example) -> None:
    """Let Node read it, where Node is."""
    node = shutil.which("node")
    if node is None:
        return
    done = subprocess.run(
        [node, "--input-type=module", "--check", "-"], input=example.parsed, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def ini(example: Example) -> None:
    """Read what systemd and others take."""
    configparser.ConfigParser(strict=False, interpolation=None).read_string(example.parsed)


def _readable_by(parser: Callable[[str], object]) -> Callable[[Example], None]:
    def read(example: Example) -> None:
        parser(example.parsed)

    return read


def _nothing(example: Example) -> None:
    """Take it as it is."""


EVALUATORS: dict[str, Callable[[Example], None]] = {
    "python": python,
    "console": console,
    "django": template,
    "html": _nothing,
    "javascript": javascript,
    "json": _readable_by(json.loads),
    "toml": _readable_by(tomllib.loads),
    "yaml": _readable_by(yaml.safe_load),
    "ini": ini,
    "css": _nothing,
    "dockerfile": _nothing,
    "mermaid": _nothing,
    "text": _nothing,
}
