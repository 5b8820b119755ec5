"""`workflows graph`: a workflow's steps as a picture, with the way that a run has taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...authoring.reading import read_graph
from ...drawing import mermaid, svg
from ...runtime import rows
from .. import arguments
from ..way import marks_of
from .base import Subcommand


class Graph(Subcommand):
    """Prints a graph."""

    help = "draw a workflow's steps, as Mermaid text or as SVG; --run shows the way of a run"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("workflow", nargs="?", help="the workflow's name; left out with --run")
        parser.add_argument("--workflow-version", metavar="VERSION", help="by default the newest")
        parser.add_argument("--run", help="colour the way of this run")
        parser.add_argument("--format", choices=["mermaid", "svg"], default="mermaid", help="(default: mermaid)")
        parser.add_argument("--output", type=Path, metavar="FILE", help="write there instead of printing")

    def handle(self, **options: Any) -> int:
        run = arguments.run(options["run"]) if options["run"] else None
        if (options["workflow"] is None) == (run is None):
            raise CommandError("Name a workflow, or a run with --run.")
        if run is None:
            definition, marks = arguments.definition(options["workflow"], options["workflow_version"]), svg.Marks()
        else:
            found = rows.definition_of(run)
            if found is None:
                raise CommandError(f"The code no longer has the workflow of {run}: there is nothing to draw.")
            definition, marks = found, marks_of(run)
        draw = {"mermaid": mermaid.draw, "svg": _file}[options["format"]]
        self._put(draw(read_graph(definition), marks), options["output"])
        return 0

    def _put(self, text: str, output: Path | None) -> None:
        if output is None:
            self.console.line(text)
            return
        try:
            output.write_text(f"{text}\n", encoding="utf-8")
        except OSError as error:
            raise CommandError(f"--output: {error}") from error
        self.console.note(f"Written to {output}.")


def _file(graph: Any, marks: svg.Marks) -> str:
    return svg.draw(graph, marks, standalone=True)
