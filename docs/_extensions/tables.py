"""Directives that write tables from the code: `settings`, `columns`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import models
from django.utils.module_loading import import_string
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.logging import getLogger

from django_ai.automation import conf

logger = getLogger(__name__)

_KINDS = {int: "integer", float: "number", str: "text", bool: "True or False", type(None): "None"}


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table, its cells' bars escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


class _Table(SphinxDirective):
    """Parses the Markdown that it makes, so that links and code in it work."""

    required_arguments = 0

    def run(self) -> list[nodes.Node]:
        place = nodes.Element()
        lines = markdown_table(*self.table())
        self.state.nested_parse(StringList(lines, source=self.get_source_info()[0]), self.content_offset, place)
        return list(place.children)

    def table(self) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
        raise NotImplementedError


class SettingsTable(_Table):
    """Every key of DJANGO_AI."""

    def table(self) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
        return ("key", "default", "value", "what it is"), map(self._row, conf.known().items())

    def _row(self, item: tuple[str, conf.Setting[Any]]) -> Sequence[str]:
        name, setting = item
        kinds = [_KINDS.get(kind, kind.__name__) for kind in setting.types]
        # A number may be written as an integer: to say so of each of them says nothing.
        value = " or ".join(kind for kind in kinds if not (kind == "integer" and "number" in kinds))
        if setting.minimum is not None:
            value += f", at least {setting.minimum:g}"
        return f"`{name}`", f"`{setting.default!r}`", value, setting.doc


class ColumnsTable(_Table):
    """The columns of the model that is named by its dotted path.

    The content explains, as `column: text`, those without a help text of their own. A column that
    nobody explains is a warning, and so is an explanation of a column that is gone.
    """

    required_arguments = 1
    has_content = True

    def table(self) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
        model: type[models.Model] = import_string(self.arguments[0])
        texts = {name.strip(): text.strip() for name, _, text in (line.partition(":") for line in self.content)}
        fields = {field.attname: field for field in model._meta.concrete_fields}
        for name in texts.keys() - fields.keys():
            logger.warning("%s has no column %r", model.__name__, name, location=self.get_location())
        for name, field in fields.items():
            if not (texts.get(name) or field.help_text):
                logger.warning("explain the column %r of %s", name, model.__name__, location=self.get_location())
        return ("column", "type", "what it is"), [
            (f"`{name}`", _type(field), texts.get(name) or str(field.help_text)) for name, field in fields.items()
        ]


_TYPES = {
    "BigAutoField": "integer",
    "BigIntegerField": "integer",
    "BooleanField": "True or False",
    "CharField": "text",
    "DateTimeField": "moment",
    "FloatField": "number",
    "ForeignKey": "key",
    "JSONField": "JSON",
    "UUIDField": "UUID",
    "OneToOneField": "key",
    "PositiveIntegerField": "integer",
    "TextField": "text",
}


def _type(field: Any) -> str:
    kind = _TYPES[field.get_internal_type()]
    if field.is_relation:
        kind += f" of a {field.related_model.__name__}"
    if field.choices:
        kind = ", ".join(f"`{value}`" for value, _ in field.choices)
    elif field.max_length:
        kind += f" of at most {field.max_length} characters"
    return f"{kind}, or null" if field.null else kind


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives."""
    app.add_directive("settings", SettingsTable)
    app.add_directive("columns", ColumnsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
