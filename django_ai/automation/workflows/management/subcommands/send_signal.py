"""`workflows signal`: send a signal to one run, or to all that wait for it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...machine.commands import WaitKind
from ...models import Suspension, WorkflowRun
from ...runtime import rows
from ...runtime.engine import engine
from .. import arguments
from ..console import counted
from .base import Subcommand, add_json


class SendSignal(Subcommand):
    """Sends one signal."""

    help = "send a signal; the exit code is 1 where no run takes it"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the signal's name")
        parser.add_argument(
            "fields", nargs="*", metavar="key=text", help="a field of the payload; key:=JSON for others"
        )
        parser.add_argument("--payload", metavar="JSON", help="the payload as a JSON object")
        parser.add_argument("--run", help="send it to this run alone, which keeps it until it waits for it")
        parser.add_argument("--correlate", metavar="KEY", help="reach only the runs that wait with this key")
        parser.add_argument("--key", help="an idempotency key: of all signals with it a run gets one")
        parser.add_argument(
            "--only-if-waiting", action="store_true", help="with --run: send it only if the run waits for it now"
        )
        add_json(parser)

    def handle(self, **options: Any) -> int:
        if options["run"] and options["correlate"]:
            raise CommandError("--run and --correlate exclude one another: a run that is named needs no key.")
        payload = arguments.fields(options["payload"], "--payload", options["fields"])
        run = arguments.run(options["run"]) if options["run"] else None
        count = engine.signal(
            options["name"],
            payload,
            run=run,
            correlate=options["correlate"],
            key=options["key"],
            only_if_waiting=options["only_if_waiting"],
        )
        if options["json"]:
            self.console.json({"signal": options["name"], "runs": count})
        elif count:
            self.console.line(f"Handed to {run or counted(count, 'run')}.", "SUCCESS")
        else:
            self.console.line(_not_sent(options["name"], run, options["key"]), "WARNING")
        return 0 if count else 1


def _not_sent(name: str, run: WorkflowRun | None, key: str | None) -> str:
    had = f", or has had one with the key {key!r}" if key else ""
    if run is not None:
        return f"Not sent: {run} does not wait for the signal {name!r} now{had}."
    events = Suspension.objects.using(rows.alias()).filter(kind=WaitKind.EVENT, name=name)
    if events.exists():
        return f"{name!r} is an event, for which runs wait: call emit({name!r}) of django_ai.automation.events."
    return f"No run waits for the signal {name!r} now{had}."
