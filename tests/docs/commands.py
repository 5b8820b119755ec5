"""Checks a command that a page shows: its program, its arguments and its options are there."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import click
from celery.bin.celery import celery
from django.core.management import CommandError, get_commands, load_command_class
from packaging.requirements import Requirement

from tests.docs import ROOT

# What belongs to the reader's machine and not to this project.
FOREIGN = {"cd", "curl", "docker", "journalctl", "mkdir", "source", "systemctl", "git", "pytest"}


class Unfit(AssertionError):
    """A command of a page would not work."""


def check(line: str) -> None:
    """Raise Unfit where a line that a page shows as a command would not be understood."""
    words = shlex.split(line, comments=True)
    while words and re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    if not words:
        return
    program, *arguments = words
    if program in FOREIGN:
        return
    if program not in PROGRAMS:
        raise Unfit(f"{line!r}: nobody knows how to check {program!r}")
    try:
        PROGRAMS[program](arguments)
    except (Unfit, CommandError, click.ClickException, LookupError, SystemExit) as error:
        raise Unfit(f"{line!r}: {error}") from error


def _python(arguments: list[str]) -> None:
    match arguments:
        case ["manage.py" | "example_project/manage.py", *rest]:
            _manage(rest)
        case ["-m", "venv" | "pip" as module, *rest]:
            if module == "pip":
                _pip(rest)
        case ["-m", module, *_]:
            _exists(Path(*module.split(".")).with_suffix(".py"))
        case [script, *_]:
            _exists(Path(script))


def _exists(path: Path) -> None:
    if not (ROOT / path).is_file():
        raise Unfit(f"there is no {path}")


def _manage(arguments: list[str]) -> None:
    name, *rest = arguments
    command = load_command_class(get_commands()[name], name)
    # argparse ends the process where it does not understand.
    command.create_parser("manage.py", name).parse_args(rest)


def _celery(arguments: list[str]) -> None:
    while arguments and arguments[0] in ("-A", "--app"):
        arguments = arguments[2:]
    name, *rest = arguments
    command = celery.commands[name]
    known = {option: parameter for parameter in command.params for option in parameter.opts}
    for word in rest:
        option = word.partition("=")[0]
        if option.startswith("-") and option not in known and option[:2] not in known:
            raise Unfit(f"celery {name} has no option {option}")


def _pip(arguments: list[str]) -> None:
    if arguments[:1] != ["install"]:
        raise Unfit("only pip install is shown")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for word in arguments[1:]:
        if word.startswith("-"):
            continue
        requirement = Requirement(word)
        unknown = requirement.extras - set(project["optional-dependencies"])
        if requirement.name == "django-ai" and unknown:
            raise Unfit(f"there is no extra {', '.join(sorted(unknown))}")


def _make(arguments: list[str]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    unknown = {word for word in arguments if "=" not in word} - targets
    if unknown:
        raise Unfit(f"make has no target {', '.join(sorted(unknown))}")


PROGRAMS: dict[str, Callable[[list[str]], None]] = {
    "python": _python,
    "python3": _python,
    "manage.py": _manage,
    "django-admin": _manage,
    "celery": _celery,
    "pip": _pip,
    "make": _make,
    ".ci/run": lambda arguments: None,
}
