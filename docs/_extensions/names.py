"""How the reference shows public names, and links each mention of one to the place that documents it.

The code names things where they are defined (`authoring.subflow.SubflowResult`) or by their last name alone
(`Raises: IllegalMove`); the reference documents them where users import them (`core.SubflowResult`).
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from django.db import models
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    """Return a link to the only documented object with the last name of what is mentioned."""
    if node.get("refdomain") != "py":
        return None
    last = node["reftarget"].rpartition(".")[2]
    found = [
        (name, entry)
        for name, entry in env.domains.python_domain.objects.items()
        if name.rpartition(".")[2] == last and not entry.aliased
    ]
    if len(found) != 1:
        return None
    [(name, entry)] = found
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, name)


def plain_signature(app: Sphinx, what: str, name: str, thing: object, *rest: Any) -> tuple[str, str] | None:
    """Leave out of a signature what nobody writes: an exception's arguments, what a decorator returns."""
    _options, signature, _returns = rest
    if signature is None:
        return None
    if isinstance(thing, type) and issubclass(thing, (BaseException, models.Model, Enum)):
        return "", ""
    if what == "decorator":
        return signature.replace("undecorated: object = None, /, ", ""), ""
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """Resolve what Sphinx could not, and shorten signatures."""
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-signature", plain_signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
