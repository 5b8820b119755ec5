"""What is done to the runs that are named, or to all of a choice, one after the other and with progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import Q

from ..exceptions import WorkflowError
from ..models import WorkflowRun
from . import arguments
from .console import Console, counted
from .subcommands.list_runs import add_filters, filtered

BATCH = 500


def add_choice(parser: CommandParser) -> None:
    """Declare how runs are named or chosen."""
    parser.add_argument("runs", nargs="*", metavar="run", help="ids or idempotency keys")
    parser.add_argument("--all", action="store_true", help="all that the options below choose")
    add_filters(parser)
    parser.add_argument("--no-input", action="store_true", help="do not ask")


@dataclass(slots=True)
class Done:
    """The result of a bulk action: the runs done, the runs refused with the reasons, and the number left out."""

    runs: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    left_out: int = 0

    def as_data(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        data: dict[str, Any] = {"done": self.runs, "refused": self.refused}
        return {**data, "left_out": self.left_out} if self.left_out else data


def do(
    options: dict[str, Any],
    console: Console,
    *,
    verb: str,
    within: Q,
    among: Q | None = None,
    act: Callable[[int], WorkflowRun],
) -> Done:
    """Apply an action to the named runs, or with ``--all`` to the chosen runs that are ``within``.

    Args:
        among: the runs of which those that are not ``within`` are counted as left out; by default none.

    Raises:
        CommandError: neither is given, or both, or the person said no.
    """
    if bool(options["runs"]) == options["all"]:
        raise CommandError(
            "Name the runs, or choose them with --all and --status, --workflow, --since, --tag, --stuck."
        )
    done = Done()
    if options["runs"]:
        for run in [arguments.run(reference) for reference in options["runs"]]:
            _do_one(run.pk, act, done)
        return done
    chosen = filtered(options).filter(within)
    count = chosen.count()
    if among is not None:
        done.left_out = filtered(options).filter(among).count() - count
    if count and not options["no_input"]:
        _ask(f"{verb} {counted(count, 'run')}? [y/N] ")
    for number, run_id in enumerate(_ids(chosen), start=1):
        _do_one(run_id, act, done)
        console.progress(number / count, f"{number:,} of {count:,}")
    console.end_progress()
    return done


def _do_one(run_id: int, act: Callable[[int], WorkflowRun], done: Done) -> None:
    try:
        act(run_id)
    except (WorkflowError, WorkflowRun.DoesNotExist) as error:
        done.refused[run_id] = str(error)
    else:
        done.runs.append(run_id)


def _ids(chosen: Any) -> Iterator[int]:
    last = 0
    while batch := list(chosen.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:BATCH]):
        yield from batch
        last = batch[-1]


def _ask(question: str) -> None:
    try:
        answer = input(question)
    except EOFError:
        raise CommandError("Nobody is there to answer: say --no-input.") from None
    if answer.strip().lower() not in ("y", "yes"):
        raise CommandError("Nothing was done.")


_LEFT_OUT = "ended by fail(), or a parent no longer waits. Look at each, and name one with --force to repeat it."


def tell(done: Done, console: Console, *, what: str, as_json: bool) -> int:
    """Print what became of the runs and return the exit code: 1 where one refused."""
    if as_json:
        console.json(done.as_data())
    else:
        for run_id, reason in done.refused.items():
            console.line(f"#{run_id}: {reason}", "ERROR")
        if done.runs or not done.refused:
            console.line(f"{counted(len(done.runs), 'run')} {what}.", "SUCCESS" if done.runs else "WARNING")
        if done.left_out:
            console.note(f"{counted(done.left_out, 'run')} left out: {_LEFT_OUT}")
    return 1 if done.refused else 0
