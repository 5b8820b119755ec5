"""The workflows that this process has imported, by name and version."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches

from ..exceptions import DuplicateWorkflow, UnknownWorkflow
from ..machine.definition import WorkflowDefinition

# The attribute under which a class keeps its definition.
DEFINITION_ATTRIBUTE = "__workflow_definition__"


class Registry:
    """Workflow definitions by name, and of each name by version."""

    def __init__(self) -> None:
        self._versions: dict[str, dict[str, WorkflowDefinition]] = {}
        self._watchers: list[Callable[[WorkflowDefinition], None]] = []

    def register(self, definition: WorkflowDefinition) -> None:
        """Add a definition. The very same class again (autoreload) replaces it.

        Raises:
            DuplicateWorkflow: another class has this name and version.
        """
        versions = self._versions.setdefault(definition.name, {})
        known = versions.pop(definition.version, None)
        if known and _path(known.cls) != _path(definition.cls):
            versions[known.version] = known
            raise DuplicateWorkflow(
                f"Two classes register the workflow {definition.name!r} (version {definition.version!r}):"
                f" {_path(known.cls)} and {_path(definition.cls)}. Rename one, or give it another version."
            )
        versions[definition.version] = definition
        for watcher in self._watchers:
            watcher(definition)

    def watch(self, watcher: Callable[[WorkflowDefinition], None]) -> None:
        """Call ``watcher`` with every definition, those that are here and those that will come."""
        self._watchers.append(watcher)
        for definition in self:
            watcher(definition)

    def get(self, name: str, version: str | None = None) -> WorkflowDefinition | None:
        """Return a definition: of this version where it is registered, else the newest, else None.

        Which is the newest is told by the versions, not by the order in which modules happen to be
        imported: their numbers are compared as numbers.
        """
        versions = self._versions.get(name)
        if not versions:
            return None
        if version in versions:
            return versions[version]
        return versions[max(versions, key=_age)]

    def exactly(self, workflow: str | type, version: str) -> WorkflowDefinition:
        """Return the definition of this very version. Raises UnknownWorkflow."""
        name = self.find(workflow).name
        versions = self._versions.get(name, {})
        if version not in versions:
            known = ", ".join(repr(each) for each in sorted(versions, key=_age))
            raise UnknownWorkflow(f"Workflow {name!r} has no version {version!r}. Registered: {known}.")
        return versions[version]

    def find(self, workflow: str | type, version: str | None = None) -> WorkflowDefinition:
        """Return the definition of a workflow given as class or name. Raises UnknownWorkflow."""
        if isinstance(workflow, type):
            definition: WorkflowDefinition | None = vars(workflow).get(DEFINITION_ATTRIBUTE)
            if definition is None:
                raise UnknownWorkflow(f"{workflow.__name__} is no workflow: decorate it with @workflow(name).")
            return definition
        given: object = workflow
        found = self.get(given, version) if isinstance(given, str) else None
        if found is None:
            raise UnknownWorkflow(self._unknown(workflow))
        return found

    def _unknown(self, name: object) -> str:
        if not isinstance(name, str):
            made = hasattr(type(name), DEFINITION_ATTRIBUTE)
            what = f"an instance of {type(name).__name__}: leave out the parentheses" if made else repr(name)
            return f"A workflow is given as its class or its name, not as {what}."
        close = get_close_matches(str(name), self._versions, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else "Is its module imported (workflows.py of an app)?"
        return f"No workflow {name!r} is registered. {hint}"

    def __iter__(self) -> Iterator[WorkflowDefinition]:
        """Iterate over all definitions, of each name the newest last."""
        for versions in self._versions.values():
            yield from (versions[version] for version in sorted(versions, key=_age))

    def remove(self, definition: WorkflowDefinition) -> None:
        """Forget a definition, as tests do that declare their own."""
        versions = self._versions.get(definition.name, {})
        if versions.get(definition.version) is definition:
            del versions[definition.version]
        if not versions:
            self._versions.pop(definition.name, None)


def _age(version: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Return what versions are sorted by: "2" comes before "10", and "1.2" before "1.2rc1" and "1.10"."""
    parts = re.findall(r"[0-9]+|[^0-9\W_]+", version)
    key = [(False, int(part), "") if part[0] in "0123456789" else (True, 0, part) for part in parts]
    return key, version


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


registry = Registry()
